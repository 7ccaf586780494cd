// Package channel opens the agent's two local channels, and that of the gate
// beside it, and says who is at the other end: named pipes on Windows, unix
// sockets elsewhere.
//
// The control channel is for administrators (the CLI, the shim wrapper, the gate);
// the plugin channel is for CCG's plugin host only; dockerd asks on the gate's. Each is created with its
// access list in place (all of them stand in access.go), a listener's
// connections carry the [Peer] that the kernel vouches for, and a dialler
// checks that the server is the agent and not somebody who sat on the name.
//
// # The server's duty
//
// The package identifies; it does not stand between the server and a caller.
// A server calls [Conn.Authorize] before it acts on anything that it read, and
// again immediately before it writes a secret: a caller may have ended, and
// its process number may be another's, at any moment in between. It sets
// deadlines on every connection, and closes every connection that it accepts,
// which also lets go of the peer's process.
//
// The package refuses to know what is said on a channel (package wire) and
// what the answer should be (package agent).
package channel

import (
	"context"
	"fmt"
	"net"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Audience says whom a channel is for.
type Audience int

// The audiences.
const (
	Control Audience = iota // administrators: the CLI and the shim wrapper
	Plugin                  // CCG's plugin host
	Gate                    // dockerd, which asks the gate
)

// String is the audience's name, which is also the last part of its endpoint.
func (a Audience) String() string {
	switch a {
	case Control:
		return "control"
	case Plugin:
		return "plugin"
	case Gate:
		return "docker"
	}
	return fmt.Sprintf("audience %d", int(a))
}

// DefaultEndpoint is where an audience finds the agent. Everything that dials
// without being told otherwise, the CCG plugin always, dials here.
func DefaultEndpoint(a Audience) string { return defaultEndpoint(a) }

// UntrustedServerError says that whoever serves the endpoint is not the agent,
// as far as its identity tells. It wraps [fault.ErrDenied]. Nothing was sent.
type UntrustedServerError struct {
	Endpoint string
	Reason   string
}

func (e *UntrustedServerError) Error() string {
	return e.Endpoint + ": the server is not trusted: " + e.Reason
}

// Unwrap returns [fault.ErrDenied].
func (e *UntrustedServerError) Unwrap() error { return fault.ErrDenied }

// Dial connects to the agent at endpoint, the audience's default if that is
// empty. It returns a connection only if the server runs as SYSTEM or as an
// administrator (on unix: as root or as the caller's own user), else an
// [*UntrustedServerError].
//
// An endpoint that nobody serves, or that has no room until the context ends,
// is an error that wraps [fault.ErrUnavailable], one that the caller may not
// open [fault.ErrDenied], and one of the wrong form [fault.ErrMalformed].
func Dial(ctx context.Context, a Audience, endpoint string) (net.Conn, error) {
	if endpoint == "" {
		endpoint = DefaultEndpoint(a)
	}
	return dial(ctx, a, endpoint)
}
