package directory

import (
	"context"
	"errors"

	"net"
	"time"
)

// dial connects to a port of the domain controller. The connection has the
// client's timeout for all that follows and ends with ctx.
func (c *Client) dial(ctx context.Context, dc *Controller, port string) (net.Conn, error) {
	d := net.Dialer{Timeout: c.cfg.Timeout}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(dc.Addr.String(), port))
	if err != nil && ctx.Err() != nil {
		return nil, errorList{context.Cause(ctx), err}
	}
	if err != nil {
		return nil, err
	}
	return &boundConn{Conn: conn, left: maxReceived}, nil
}

// guard bounds f, which works on conn: by the client's timeout, and by ctx,
// whose end closes the connection under it. The error names ctx's cause.
func (c *Client) guard(ctx context.Context, conn net.Conn, f func() error) error {
	deadline := time.Now().Add(c.cfg.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // f sees the error
	defer stop()
	err := f()
	if err != nil && ctx.Err() != nil {
		return errorList{context.Cause(ctx), err}
	}
	if err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// maxReceived is what a domain controller may send over one connection. The
// largest honest exchange is a few entries and tickets of at most 64 KiB.
const maxReceived = 4 << 20

// boundConn ends when the other side sends too much.
type boundConn struct {
	net.Conn
	left int
}

func (c *boundConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

var errTooMuch = errors.New("the domain controller sends too much")
