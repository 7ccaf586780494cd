package winelab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// packages are Debian's. libwine-dev has the IDL files that the proxy/stub's
// interface derives from, and the headers that go with them.
var packages = []string{"wine", "wine64", "libwine-dev", "gcc-mingw-w64-x86-64", "mingw-w64-tools"}

// Setup installs Wine and the cross compiler and makes the template prefix
// (about 15 s on 2 cores, 700 MB in the cache) where they are missing.
func Setup(ctx context.Context, report lab.Reporter) error {
	if err := lab.Packages(ctx, report, "", packages...); err != nil {
		return fmt.Errorf("set up the Wine lab: %w", err)
	}
	path, err := templatePath()
	if err != nil {
		return fmt.Errorf("set up the Wine lab: %w", err)
	}
	err = lab.Once(ctx, path, func(ctx context.Context, tmp string) error {
		report("making the Wine prefix that labs start from")
		start := time.Now()
		if err := makeTemplate(ctx, tmp); err != nil {
			return err
		}
		report("Wine prefix made in %v", time.Since(start).Round(100*time.Millisecond))
		return nil
	})
	if err != nil {
		return fmt.Errorf("set up the Wine lab: %w", err)
	}
	_, err = PlugProgram(ctx)
	return err
}

// Ready says why no lab can be started; nil when one can.
func Ready() error {
	if missing := lab.Missing(packages...); len(missing) > 0 {
		return fmt.Errorf("packages %s are not installed: run `make lab-wine`", strings.Join(missing, ", "))
	}
	path, err := templatePath()
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return errors.New("the Wine prefix that labs start from is not made: run `make lab-wine`")
	}
	return nil
}

// binaries finds Wine's loader and server. Debian keeps them out of PATH.
func binaries() (wine, server string, err error) {
	find := func(name string) (string, error) {
		if path := filepath.Join("/usr/lib/wine", name); exec.Command(path, "--version").Err == nil {
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
		}
		return exec.LookPath(name)
	}
	if wine, err = find("wine64"); err != nil {
		return "", "", fmt.Errorf("find Wine: %w", err)
	}
	if server, err = find("wineserver"); err != nil {
		return "", "", fmt.Errorf("find Wine's server: %w", err)
	}
	return wine, server, nil
}
