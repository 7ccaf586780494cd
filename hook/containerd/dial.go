package containerd

import (
	"fmt"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/defaults"
	"google.golang.org/grpc"
)

// defaultStateDir is where containerd keeps its bundles if its configuration is silent.
var defaultStateDir = defaults.DefaultStateDir

// dial returns a connection to the containerd at address, which is made when it
// is first used. The client knows how to reach a socket and a pipe; its own
// services are not used, because they hold a whole list of containers in memory
// and take every message to be complete.
func dial(address string) (*grpc.ClientConn, error) {
	c, err := client.New(address)
	if err != nil {
		return nil, err
	}
	conn, ok := c.Conn().(*grpc.ClientConn)
	if !ok {
		return nil, fmt.Errorf("containerd client has a %T for a connection", c.Conn())
	}
	return conn, nil
}
