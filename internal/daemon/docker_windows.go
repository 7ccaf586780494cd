package daemon

import (
	"context"
	"net"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// dialDocker shows who we are and lets nobody act as us: whoever serves the pipe
// gets no more than our name.
func dialDocker(ctx context.Context, address string) (net.Conn, error) {
	return winio.DialPipeAccessImpLevel(ctx, address, windows.GENERIC_READ|windows.GENERIC_WRITE, winio.PipeImpLevelIdentification)
}
