// Package lab is what the project's labs have in common: a cache outside of
// the repository, Debian packages, things that are built once, processes that
// never outlive the lab, and waiting for conditions.
//
// A lab is real servers in a known state, started by one call and gone after
// one call. This package does not know which servers; see adlab, winelab,
// chainlab, containerdlab and dockerlab. Labs need Linux and, for most, root; where a lab
// cannot run it says why, and its tests skip with that reason.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Reporter is told, line by line, what a lab is doing.
type Reporter func(format string, args ...any)

// Servers start and end within a second or two. On a machine that has more to do
// than it can, they may take a hundred times that.
const (
	StartTimeout = 3 * time.Minute
	StopGrace    = 30 * time.Second
)

// Report returns a Reporter that writes to the test's log.
func Report(t testing.TB) Reporter {
	return func(format string, args ...any) { t.Helper(); t.Logf(format, args...) }
}

// Cache returns a path below the labs' cache folder, and makes sure that the
// folder it lies in exists. The cache is the user's cache folder, or
// $GMSA_AGENT_LAB_CACHE; it may be deleted at any time while no lab runs.
func Cache(elem ...string) string {
	base := os.Getenv("GMSA_AGENT_LAB_CACHE")
	if base == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			dir = filepath.Join(os.TempDir(), fmt.Sprintf("cache-%d", os.Getuid()))
		}
		base = filepath.Join(dir, "gmsa-agent", "lab")
	}
	path := filepath.Join(append([]string{base}, elem...)...)
	_ = os.MkdirAll(filepath.Dir(path), 0o700) // the use of path will name the cause
	return path
}

// ModuleRoot returns the folder that holds the project's go.mod.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("lab: no go.mod above the working directory")
		}
		dir = parent
	}
}

// pollInterval is short against everything that labs wait for (a server's
// start takes 50 ms to 10 s) and costs next to nothing.
const pollInterval = 20 * time.Millisecond

// WaitFor calls cond until it returns nil. When ctx ends first, the error says
// what was waited for and cond's last error.
func WaitFor(ctx context.Context, what string, cond func(context.Context) error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := cond(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last: %w)", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// Eventually is WaitFor for tests: it fails the test when cond has not become
// nil within StartTimeout, which no condition on a working lab needs.
func Eventually(t testing.TB, what string, cond func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), StartTimeout)
	defer cancel()
	if err := WaitFor(ctx, what, cond); err != nil {
		t.Fatal(err)
	}
}
