package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"
)

// GoInstall builds a program for this machine from its published module, once,
// and puts it at dest: a path in the cache, which should have the version in it.
func GoInstall(ctx context.Context, report Reporter, dest, pkg, version string) error {
	return Once(ctx, dest, func(ctx context.Context, tmp string) (err error) {
		report("building %s %s", path.Base(pkg), version)
		start := time.Now()
		dir, err := os.MkdirTemp("", "gmsa-agent-build-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", pkg+"@"+version)
		cmd.Dir = dir // outside of the project's module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOOS=", "GOARCH=", "GOBIN="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go install %s@%s: %w: %s", pkg, version, err, tail(out, 1000))
		}
		// The cache may be on another file system: copy, not rename.
		data, err := os.ReadFile(filepath.Join(dir, path.Base(pkg)))
		if err != nil {
			return err
		}
		if err := os.WriteFile(tmp, data, 0o755); err != nil {
			return err
		}
		report("%s built in %v", path.Base(pkg), time.Since(start).Round(time.Second))
		return nil
	})
}
