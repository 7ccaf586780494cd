package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// key is a registry key in memory.
type key map[string]string

func (k key) value(name string, limit int) (string, error) {
	v, ok := k[name]
	switch {
	case !ok:
		return "", fmt.Errorf("there is none: %w", fault.ErrNotFound)
	case len(v) > limit:
		return "", fmt.Errorf("too long: %w", fault.ErrMalformed)
	}
	return v, nil
}

func TestSourceWithAKeyInMemory(t *testing.T) {
	credspectest.Run(t, func(*testing.T) credspectest.Fixture {
		k := key{}
		return credspectest.Fixture{
			Source:  &Source{value: k.value, where: `HKLM\` + Path},
			Missing: credspec.Ref{Scheme: Scheme, Rest: "missing"},
			Put: func(_ *testing.T, name string, data []byte) credspec.Ref {
				k[name] = string(data)
				return credspec.Ref{Scheme: Scheme, Rest: name}
			},
		}
	})
}

func TestSourceNamesTheKey(t *testing.T) {
	s := &Source{value: key{"x": "{}"}.value, where: `HKLM\` + Path}
	doc, err := s.Resolve(t.Context(), credspec.Ref{Scheme: Scheme, Rest: "x"})
	if want := `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Virtualization\Containers\CredentialSpecs\x`; err != nil || doc.Origin != want {
		t.Errorf("origin %s, %v", doc.Origin, err)
	}
	if _, err := s.Resolve(t.Context(), credspec.Ref{Scheme: Scheme, Rest: "y"}); !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), `value "y" of HKLM\`+Path) {
		t.Errorf("error %v", err)
	}
}

func TestSourceRefusesWhatIsNoValuesName(t *testing.T) {
	s := &Source{value: key{}.value}
	for _, name := range []string{strings.Repeat("x", maxName+1), "a\x00b"} {
		if _, err := s.Resolve(t.Context(), credspec.Ref{Scheme: Scheme, Rest: name}); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%.10q: error %v", name, err)
		}
	}
}
