//go:build !windows

package daemon

import (
	"context"
	"net"
)

func dialDocker(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}
