//go:build !windows

package eventlog

import (
	"errors"
	"fmt"
)

// Open returns an error that wraps [errors.ErrUnsupported].
func Open() (Writer, error) {
	return nil, fmt.Errorf("unsupported on this platform, because the Event Log is Windows' own: %w", errors.ErrUnsupported)
}
