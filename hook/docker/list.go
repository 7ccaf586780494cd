package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Containers lists the IDs of all containers of the Docker at endpoint, running
// or not, over a connection of its own.
func Containers(ctx context.Context, endpoint string) (ids []string, err error) {
	c, err := Connect(endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if ids, err = c.list(ctx); err != nil {
		return nil, err
	}
	if i := slices.Index(ids, ""); i >= 0 {
		return nil, fmt.Errorf("the answer of Docker has no id for container %d: %w", i, fault.ErrMalformed)
	}
	return ids, nil
}
