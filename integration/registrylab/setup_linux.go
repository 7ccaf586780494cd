package registrylab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// The registry, built from its published module. Debian's is of the release
// before.
const (
	program = "github.com/distribution/distribution/v3/cmd/registry"
	version = "v3.1.2"
)

// binary is where the built program is.
func binary() string {
	return lab.Cache("registry", version+"-"+runtime.Version(), "registry")
}

// Setup builds the registry where it is missing: two minutes on two cores, 55 MB
// in the cache.
func Setup(ctx context.Context, report lab.Reporter) error {
	err := lab.Once(ctx, binary(), func(ctx context.Context, tmp string) error {
		report("building the registry %s", version)
		start := time.Now()
		if err := build(ctx, tmp); err != nil {
			return err
		}
		report("the registry built in %v", time.Since(start).Round(time.Second))
		return nil
	})
	if err != nil {
		return fmt.Errorf("set up the registry lab: %w", err)
	}
	return nil
}

func build(ctx context.Context, out string) (err error) {
	dir, err := os.MkdirTemp("", "gmsa-agent-build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", program+"@"+version)
	cmd.Dir = dir // outside of the project's module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+dir)
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go install %s@%s: %w: %s", program, version, err, strings.TrimSpace(string(b)))
	}
	// The cache may be on another file system: copy, not rename.
	data, err := os.ReadFile(filepath.Join(dir, "registry"))
	if err != nil {
		return err
	}
	return os.WriteFile(out, data, 0o755)
}

// Ready says why the lab cannot be started; nil when it can.
func Ready() error {
	if _, err := os.Stat(binary()); err != nil {
		return fmt.Errorf("the registry %s is not built: run `make lab-registry`", version)
	}
	return nil
}
