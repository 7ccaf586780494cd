//go:build !linux && !windows

package locked

import (
	"errors"
	"fmt"
	"runtime"
)

func protect([]byte) error {
	return fmt.Errorf("lock memory on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func unprotect([]byte) {}

// NoDump does nothing here.
func NoDump() error { return nil }
