package docker

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/windows/registry"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// registryTarget is the key in which Docker looks for registry:// credential
// specs, by values of type REG_SZ.
type registryTarget struct{}

const specsKey = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\Virtualization\Containers\CredentialSpecs`

func (registryTarget) path(name string) string { return `HKLM\` + specsKey + `\` + name }

func (t registryTarget) read(name string) ([]byte, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, specsKey, registry.QUERY_VALUE)
	if err != nil {
		return nil, err // registry.ErrNotExist is fs.ErrNotExist
	}
	defer k.Close() //nolint:errcheck // only read
	s, kind, err := k.GetStringValue(name)
	switch {
	case errors.Is(err, registry.ErrUnexpectedType) || err == nil && kind != registry.SZ:
		return nil, fmt.Errorf("%s is no REG_SZ: %w", t.path(name), fault.ErrMalformed)
	case err != nil:
		return nil, err
	}
	return []byte(s), nil
}

// write sets the value, which the registry does as a whole. The key's access list
// is Windows' own: administrators and SYSTEM write, and users of the host may
// read, which the page on the attack surface says.
func (registryTarget) write(name string, document []byte, before func() error) error {
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, specsKey, registry.SET_VALUE)
	if err != nil {
		return err
	}
	if err := before(); err != nil {
		return errors.Join(err, k.Close())
	}
	return errors.Join(k.SetStringValue(name, string(document)), k.Close())
}

func (registryTarget) remove(name string) error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, specsKey, registry.SET_VALUE)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return errors.Join(k.DeleteValue(name), k.Close())
}
