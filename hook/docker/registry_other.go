//go:build !windows

package docker

import (
	"errors"
	"fmt"
)

// registryTarget is what only Windows has.
type registryTarget struct{}

var errNoRegistry = fmt.Errorf("registry:// credential specs: %w on this platform, because it has no registry", errors.ErrUnsupported)

func (registryTarget) path(name string) string                  { return "registry://" + name }
func (registryTarget) read(string) ([]byte, error)              { return nil, errNoRegistry }
func (registryTarget) write(string, []byte, func() error) error { return errNoRegistry }
func (registryTarget) remove(string) error                      { return errNoRegistry }
