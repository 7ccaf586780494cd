package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStopEndsTheWholeProcessGroup(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := Start(Options{Path: "/bin/sh", Args: []string{"-c", "trap '' TERM; sleep 1000 & echo child $!; wait; wait"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	var child string
	Eventually(t, "the child's pid", func(context.Context) error {
		_, pid, ok := strings.Cut(p.LogTail(), "child ")
		if child = strings.TrimSpace(pid); !ok || child == "" {
			return errors.New("not printed")
		}
		return nil
	})
	if err := p.Stop(10 * time.Millisecond); err == nil {
		t.Error("Stop did not say that it had to kill a process that ignores SIGTERM")
	}
	Eventually(t, "the child's end", func(context.Context) error {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return nil
		}
		return errors.New("still there")
	})
	if p.Exited() == nil {
		t.Error("Exited is nil after the end")
	}
}

func TestOnceBuildsOnceAndLeavesNothingOfAFailure(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "thing")
	boom := errors.New("boom")
	err := Once(t.Context(), dest, func(_ context.Context, tmp string) error {
		return errors.Join(os.WriteFile(tmp, []byte("half"), 0o600), boom)
	})
	if !errors.Is(err, boom) {
		t.Fatalf("Once = %v", err)
	}
	if left, _ := filepath.Glob(dest + "*"); len(left) != 1 { // the lock file
		t.Errorf("left behind: %v", left)
	}
	builds := 0
	for range 2 {
		err := Once(t.Context(), dest, func(_ context.Context, tmp string) error {
			builds++
			return os.WriteFile(tmp, []byte("whole"), 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if builds != 1 {
		t.Errorf("built %d times", builds)
	}
}
