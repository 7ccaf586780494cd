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
	peer, err := identify(conn)
	return &Conn{Conn: conn, peer: peer, unknown: err, allow: l.allow, release: sync.OnceFunc(func() {
		peer.close()
		<-l.slots
	})}, nil
}

// Addr is the endpoint.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close ends the listening and removes the endpoint. Connections that were
// accepted stay open.
func (l *Listener) Close() error { return l.close() }

// Conn is an accepted connection.
type Conn struct {
	net.Conn
	peer    *Peer
	unknown error // why the peer could not be identified
	allow   Allow
	release func()
}

// Peer is who is calling; nil, which its methods bear, if the kernel did not
// say, of which Authorize has the reason. It counts as ended once the
// connection is closed.
func (c *Conn) Peer() *Peer { return c.peer }

// Authorize returns nil if the caller is known, allowed and alive, else an
// error that wraps [fault.ErrDenied] and is fit for the audit.
func (c *Conn) Authorize() error {
	if c.unknown != nil {
		return c.unknown
	}
	if err := c.allow.Check(c.peer); err != nil {
		return err
	}
	if !c.peer.Alive() {
		return fmt.Errorf("%s: %w: it has ended", c.peer, fault.ErrDenied)
	}
	return nil
}

// Close closes the connection and lets go of the peer's process.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}
