package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// The server's patience, in the order of an exchange. A local client writes
// its request at once and reads as fast as it is sent; one that does not is
// stuck, and must not keep one of the listener's connections.
const (
	requestTimeout = 5 * time.Second
	writeTimeout   = 5 * time.Second
)

// Handler answers one request. It may call item any number of times before it
// returns the last answer (nil for none) or an error, which reaches the client
// as a refusal.
type Handler func(ctx context.Context, req Request, item func(any) error) (any, error)

// Serve reads one request from conn, lets handle answer it and writes the
// answer. A request that cannot be read is refused in words where the client
// can still hear them. It returns what went wrong with the connection or the
// request, for the server's log; handle's own error is not among it. The
// connection stays the caller's to close.
func Serve(ctx context.Context, conn net.Conn, handle Handler) error {
	if err := conn.SetReadDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	req, err := ReadRequest(conn)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return err // connected and went away: nobody is there to be told
		}
		return errors.Join(err, reply(conn, func(w io.Writer) error { return WriteError(w, err) }))
	}
	out, err := handle(ctx, req, func(v any) error {
		return reply(conn, func(w io.Writer) error { return WriteItem(w, v) })
	})
	if err != nil {
		return reply(conn, func(w io.Writer) error { return WriteError(w, err) })
	}
	err = reply(conn, func(w io.Writer) error { return WriteAnswer(w, out) })
	if tooLarge, ok := errors.AsType[*wire.Error](err); ok {
		// Nothing was sent: the client is told why he gets nothing.
		return errors.Join(err, reply(conn, func(w io.Writer) error { return WriteError(w, fmt.Errorf("the answer: %w", tooLarge)) }))
	}
	return err
}

func reply(conn net.Conn, write func(io.Writer) error) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return write(conn)
}
