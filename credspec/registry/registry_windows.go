package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// New returns a source over Docker's key.
func New() *Source { return below(registry.LOCAL_MACHINE, `HKLM`, Path) }

func below(root registry.Key, rootName, path string) *Source {
	return &Source{
		where: rootName + `\` + path,
		value: func(name string, limit int) (string, error) { return value(root, path, name, limit) },
	}
}

func value(root registry.Key, path, name string, limit int) (string, error) {
	k, err := registry.OpenKey(root, path, registry.QUERY_VALUE)
	if err != nil {
		return "", explain(err)
	}
	defer k.Close()
	// UTF-16 takes up to twice the bytes of UTF-8, and never less than two
	// thirds of it: this bounds what is read, the caller's Mux the result.
	size, _, err := k.GetValue(name, nil)
	if err != nil {
		return "", explain(err)
	}
	if size > 2*limit {
		return "", fmt.Errorf("it is longer than %d bytes: %w", limit, fault.ErrMalformed)
	}
	text, _, err := k.GetStringValue(name)
	if err != nil {
		return "", explain(err)
	}
	if len(text) > limit {
		return "", fmt.Errorf("it is longer than %d bytes: %w", limit, fault.ErrMalformed)
	}
	return text, nil
}

// explain gives the registry's error its kind.
func explain(err error) error {
	switch {
	case errors.Is(err, registry.ErrNotExist):
		return fmt.Errorf("%w: %w", err, fault.ErrNotFound)
	case errors.Is(err, registry.ErrUnexpectedType):
		return fmt.Errorf("it is not a string (REG_SZ): %w", fault.ErrMalformed)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.Errno(windows.ERROR_ACCESS_DENIED)):
		return fmt.Errorf("%w: %w", err, fault.ErrDenied)
	}
	return fmt.Errorf("%w: %w", err, fault.ErrUnavailable)
}
