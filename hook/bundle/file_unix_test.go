//go:build unix

package bundle_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestAPipeWithoutAWriterIsAnErrorAtOnce(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(folder, bundle.FileName), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Open(folder); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("%v, want ErrMalformed", err)
	}
}
