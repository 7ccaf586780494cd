//go:build !windows

package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

func TestSourceSaysThatOnlyWindowsHasARegistry(t *testing.T) {
	_, err := New().Resolve(t.Context(), credspec.Ref{Scheme: Scheme, Rest: "x"})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "only Windows has a registry") {
		t.Errorf("error %v", err)
	}
}
