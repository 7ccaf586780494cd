//go:build !windows

package eventlog

import (
	"errors"
	"fmt"
)

func thisHost() keys { return noKeys{} }

// noKeys is a system without a registry.
type noKeys struct{}

var errNoRegistry = fmt.Errorf("unsupported on this platform, because the registry is Windows' own: %w", errors.ErrUnsupported)

func (noKeys) Read() (map[string]value, error) { return nil, errNoRegistry }
func (noKeys) Write([]value) error             { return errNoRegistry }
func (noKeys) Unset([]string) error            { return errNoRegistry }
func (noKeys) Remove() error                   { return errNoRegistry }
