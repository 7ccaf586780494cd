package channel

import (
	"fmt"
	"net"
	"sync"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// MaxConns is how many connections of one listener are open at a time. Further
// callers wait at the endpoint until one is closed. A host runs some hundreds
// of containers and each redeems once at its start; a connection lives for
// milliseconds.
const MaxConns = 64

// Listener accepts the callers of one channel.
type Listener struct {
	inner net.Listener
	allow Allow
	slots chan struct{}
	done  chan struct{}
	close func() error
}

// Listen creates the endpoint, the audience's default if that is empty, with
// the audience's access list on it, and listens. A live agent at the endpoint
// is an error that wraps [fault.ErrUnavailable]; what a dead one left behind is
// replaced. An endpoint of the wrong form wraps [fault.ErrMalformed], one that
// this process may not create [fault.ErrDenied].
func Listen(a Audience, endpoint string, allow Allow) (*Listener, error) {
	if endpoint == "" {
		endpoint = DefaultEndpoint(a)
	}
	inner, closeInner, err := listen(a, endpoint)
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	return &Listener{
		inner: inner,
		allow: allow,
		slots: make(chan struct{}, MaxConns),
		done:  done,
		close: sync.OnceValue(func() error {
			close(done)
			return closeInner()
		}),
	}, nil
}

// Accept waits for the next caller. The connection is a [*Conn]. It is
// returned whoever the caller is, so that a refusal can be told and audited.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept with its true type.
func (l *Listener) AcceptConn() (*Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.inner.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &Conn{Conn: conn, allow: l.allow, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Addr is the endpoint.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close ends the listening and removes the endpoint. Connections that were
// accepted stay open.
func (l *Listener) Close() error { return l.close() }

// Conn is an accepted connection. Its methods ask who is calling when that is
// first of interest, and before anything is read at the latest: so the server's
// goroutine for this caller asks, and the next caller need not wait for it.
type Conn struct {
	net.Conn
	allow   Allow
	release func()

	mu      sync.Mutex // guards what follows
	asked   bool       // who is calling, or closed before
	peer    *Peer
	unknown error // why the peer could not be identified
}

// identity asks once.
func (c *Conn) identity() (*Peer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked {
		c.asked = true
		c.peer, c.unknown = identify(c.Conn)
	}
	return c.peer, c.unknown
}

// Peer is who is calling; nil, which its methods bear, if the kernel did not
// say, of which Authorize has the reason. It counts as ended once the
// connection is closed.
func (c *Conn) Peer() *Peer {
	peer, _ := c.identity()
	return peer
}

// Authorize returns nil if the caller is known, allowed and alive, else an
// error that wraps [fault.ErrDenied] and is fit for the audit.
func (c *Conn) Authorize() error {
	peer, err := c.identity()
	if err != nil {
		return err
	}
	if err := c.allow.Check(peer); err != nil {
		return err
	}
	if !peer.Alive() {
		return fmt.Errorf("%s: %w: it has ended", peer, fault.ErrDenied)
	}
	return nil
}

// Read reads from a caller who has been asked for.
func (c *Conn) Read(b []byte) (int, error) {
	_, _ = c.identity() // whether it is known is Authorize's to say
	return c.Conn.Read(b)
}

// Close closes the connection and lets go of the peer's process.
func (c *Conn) Close() error {
	c.mu.Lock()
	if !c.asked {
		c.asked, c.unknown = true, unidentified("the connection", net.ErrClosed)
	}
	peer := c.peer
	c.mu.Unlock()
	err := c.Conn.Close()
	peer.close()
	c.release()
	return err
}
