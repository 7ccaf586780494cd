package eventlog

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func thisHost() keys { return localMachine{} }

type localMachine struct{}

// view is the 64-bit one, where the Event Log service looks.
const view = registry.WOW64_64KEY

func (localMachine) Read() (map[string]value, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, sourceKey, registry.QUERY_VALUE|view)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, registryError(err)
	}
	defer k.Close() //nolint:errcheck // only read
	found := map[string]value{}
	for _, v := range values("") {
		text, _, err := k.GetStringValue(v.name)
		if errors.Is(err, registry.ErrUnexpectedType) {
			number, _, err := k.GetIntegerValue(v.name)
			if err == nil {
				found[v.name] = value{name: v.name, number: uint32(number)}
				continue
			}
			found[v.name] = value{name: v.name} // of a type that is not ours
			continue
		}
		if errors.Is(err, registry.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, registryError(err)
		}
		found[v.name] = value{name: v.name, text: text}
	}
	return found, nil
}

func (localMachine) Write(list []value) error {
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, sourceKey, registry.SET_VALUE|view)
	if err != nil {
		return registryError(err)
	}
	defer k.Close() //nolint:errcheck // what matters has its own error
	for _, v := range list {
		if v.text != "" {
			err = k.SetStringValue(v.name, v.text)
		} else {
			err = k.SetDWordValue(v.name, v.number)
		}
		if err != nil {
			return registryError(fmt.Errorf("%s: %w", v.name, err))
		}
	}
	return nil
}

func (localMachine) Unset(names []string) error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, sourceKey, registry.SET_VALUE|view)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	if err != nil {
		return registryError(err)
	}
	defer k.Close() //nolint:errcheck // what matters has its own error
	for _, name := range names {
		if err := k.DeleteValue(name); err != nil && !errors.Is(err, registry.ErrNotExist) {
			return registryError(fmt.Errorf("%s: %w", name, err))
		}
	}
	return nil
}

func (localMachine) Remove() error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, sourceKey, registry.QUERY_VALUE|registry.ENUMERATE_SUB_KEYS|view)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	if err != nil {
		return registryError(err)
	}
	info, err := k.Stat()
	if err := errors.Join(err, k.Close()); err != nil {
		return registryError(err)
	}
	if info.SubKeyCount != 0 || info.ValueCount != 0 {
		return nil
	}
	return registryError(registry.DeleteKey(registry.LOCAL_MACHINE, sourceKey))
}

func registryError(err error) error {
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return fmt.Errorf("%w: it takes an elevated administrator: %w", fault.ErrDenied, err)
	}
	return err
}
