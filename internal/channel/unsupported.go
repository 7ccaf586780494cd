//go:build !linux && !windows

package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
)

var errUnsupported = fmt.Errorf("the agent's channels: %w on %s, because how a caller is identified there is not built", errors.ErrUnsupported, runtime.GOOS)

type process struct{}

func (*process) alive() bool { return false }
func (*process) close()      {}

func defaultEndpoint(a Audience) string { return "/var/run/gmsa-agent/" + a.String() + ".sock" }

func defaultAllow(Audience) Allow { return Allow{} }

func sameImage(a, b string) bool { return a == b }

func listen(Audience, string) (net.Listener, func() error, error) { return nil, nil, errUnsupported }

func dial(context.Context, Audience, string) (net.Conn, error) { return nil, errUnsupported }

func identify(net.Conn) (*Peer, error) { return nil, errUnsupported }
