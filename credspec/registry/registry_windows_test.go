package registry

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/windows/registry"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// scratch is a key of the user's own, which goes with the test.
func scratch(t *testing.T) (registry.Key, string) {
	t.Helper()
	path := fmt.Sprintf(`Software\gmsa-agent-test-%d`, os.Getpid())
	k, _, err := registry.CreateKey(registry.CURRENT_USER, path, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Close()
		if err := registry.DeleteKey(registry.CURRENT_USER, path); err != nil {
			t.Error(err)
		}
	})
	return k, path
}

func TestSourceWithTheRegistry(t *testing.T) {
	credspectest.Run(t, func(t *testing.T) credspectest.Fixture {
		k, path := scratch(t)
		return credspectest.Fixture{
			Source:  below(registry.CURRENT_USER, "HKCU", path),
			Missing: credspec.Ref{Scheme: Scheme, Rest: "missing"},
			Put: func(t *testing.T, name string, data []byte) credspec.Ref {
				if err := k.SetStringValue(name, string(data)); err != nil {
					t.Fatal(err)
				}
				return credspec.Ref{Scheme: Scheme, Rest: name}
			},
		}
	})
}

func TestSourceWantsAStringAndAKey(t *testing.T) {
	k, path := scratch(t)
	if err := k.SetDWordValue("number", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := below(registry.CURRENT_USER, "HKCU", path).Resolve(t.Context(), credspec.Ref{Scheme: Scheme, Rest: "number"}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("a number: error %v", err)
	}
	if _, err := below(registry.CURRENT_USER, "HKCU", path+`\absent`).Resolve(t.Context(), credspec.Ref{Scheme: Scheme, Rest: "x"}); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("no key: error %v", err)
	}
}
