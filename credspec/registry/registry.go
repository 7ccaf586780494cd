// Package registry resolves references to credential specs in the Windows
// registry (registry://webapp01): values below the key that Docker reads them
// from. It reads that one key and nothing else.
package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Scheme is the scheme of these references.
const Scheme = "registry"

// Path is the key, below HKEY_LOCAL_MACHINE, whose values are credential specs.
// It is dockerd's (daemon/oci_windows.go in moby).
const Path = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\Virtualization\Containers\CredentialSpecs`

// maxName is the longest name that a registry value can have, in characters.
const maxName = 16383

// Source reads string values of one key.
type Source struct {
	// value reads one value: at most limit bytes of UTF-8. Its error wraps a
	// kind of package fault.
	value func(name string, limit int) (string, error)
	where string
}

// Resolve reads the value that ref names. Anywhere but on Windows it fails with
// errors.ErrUnsupported.
func (s *Source) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	if err := ctx.Err(); err != nil {
		return credspec.Document{}, err
	}
	if s == nil || s.value == nil {
		return credspec.Document{}, fmt.Errorf("only Windows has a registry: %w", errors.ErrUnsupported)
	}
	if len(ref.Rest) > maxName || strings.ContainsRune(ref.Rest, 0) {
		return credspec.Document{}, fmt.Errorf("what follows registry:// is not the name of a registry value: %w", fault.ErrMalformed)
	}
	text, err := s.value(ref.Rest, credspec.MaxSize)
	if err != nil {
		return credspec.Document{}, fmt.Errorf("value %q of %s: %w", ref.Rest, s.where, err)
	}
	return credspec.Document{Data: []byte(text), Ref: ref, Origin: s.where + `\` + ref.Rest}, nil
}
