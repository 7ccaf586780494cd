//go:build linux

// Command lab installs, builds and caches what the project's labs need:
//
//	go run ./integration/cmd/lab setup NAME...
//	go run ./integration/cmd/lab status
//
// It is what the Makefile's lab targets call. It changes the machine (Debian
// packages) and the user's cache folder, says what it does, and skips what is
// there already.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

type part struct {
	name  string
	what  string
	setup func(context.Context, lab.Reporter) error
	ready func() error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	all := parts()
	switch {
	case len(args) == 1 && args[0] == "status":
		for _, p := range all {
			state := "ready"
			if err := p.ready(); err != nil {
				state = "not ready: " + err.Error()
			}
			fmt.Printf("%-11s %s: %s\n", p.name, p.what, state)
		}
		return nil
	case len(args) > 1 && args[0] == "setup":
		return setup(ctx, all, args[1:])
	}
	var names []string
	for _, p := range all {
		names = append(names, p.name)
	}
	return fmt.Errorf("usage: lab setup NAME... | lab status (names: %s)", strings.Join(names, ", "))
}

// setup sets the named parts up, all at once: they wait for different things
// (downloads, one core's compiling, a wineboot).
func setup(ctx context.Context, all []part, names []string) error {
	start := time.Now()
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		j := slices.IndexFunc(all, func(p part) bool { return p.name == name })
		if j < 0 {
			return fmt.Errorf("there is no lab %q", name)
		}
		wg.Go(func() {
			report := func(format string, args ...any) {
				fmt.Printf("%5.0fs  %-11s %s\n", time.Since(start).Seconds(), name, fmt.Sprintf(format, args...))
			}
			if err := all[j].setup(ctx, report); err != nil {
				errs[i] = fmt.Errorf("%s: %w", name, err)
				return
			}
			report("ready")
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
