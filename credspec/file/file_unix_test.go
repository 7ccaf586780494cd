//go:build unix

package file_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestSourceOpensRegularFilesOnly(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(folder, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(folder, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := source(t, folder)
	for _, name := range []string{"fifo", "socket"} {
		done := make(chan error, 1)
		go func() {
			_, err := s.Resolve(context.Background(), ref(name))
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("%s: error %v", name, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s holds the source up", name)
		}
	}
}

func TestSourceTellsWhatMayNotBeReadFromWhatIsMissing(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	folder := t.TempDir()
	write(t, filepath.Join(folder, "x.json"), "x")
	if err := os.Chmod(filepath.Join(folder, "x.json"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := source(t, folder).Resolve(t.Context(), ref("x.json")); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("error %v", err)
	}
}

func TestSourceRefusesNamesThatTheSystemRefuses(t *testing.T) {
	folder := t.TempDir()
	if err := os.Symlink("loop", filepath.Join(folder, "loop")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"loop", strings.Repeat("x", 300)} {
		_, err := source(t, folder).Resolve(t.Context(), ref(name))
		if err == nil || errors.Is(err, fault.ErrUnavailable) || errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%.10s: error %v", name, err)
		}
	}
}
