package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// carried asks each containerd in turn: keys do not say whose a container is.
func (d *daemon) carried(ctx context.Context, k hook.Key) (credentialSpec, place string, err error) {
	failed := fmt.Errorf("no containerd has it: %w", fault.ErrNotFound)
	for _, w := range d.watches {
		credentialSpec, place, err := w.Carried(ctx, k)
		switch {
		case err == nil:
			return credentialSpec, place, nil
		case !errors.Is(err, fault.ErrNotFound):
			failed = err
		}
	}
	return "", "", failed
}
