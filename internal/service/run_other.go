//go:build !windows

package service

import (
	"context"
	"errors"
	"fmt"
)

// Run is for Windows' service manager. systemd runs the agent in the foreground.
func Run(func(ctx context.Context, ready func()) error) error {
	return fmt.Errorf("%w: only Windows has a service manager that a program must answer to", errors.ErrUnsupported)
}
