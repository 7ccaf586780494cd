package chainlab

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

	"github.com/gmsa-agent/gmsa-agent/integration/hcsdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab/proxystub"
)

// Versions of the real programs. hcsshim v0.15.0's shim cannot be built from
// the module proxy alone; v0.14.1 can.
const (
	containerdVersion = "v2.4.2"
	hcsshimVersion    = "v0.14.1"
)

// The project's own programs, and how they are linked for a release.
const (
	agentPackage    = "./cmd/gmsa-agent"
	wrapperPackage  = "./cmd/containerd-shim-gmsa"
	pluginPackage   = "./cmd/ccg-plugin"
	ccgPackage      = "./integration/ccgdouble/ccg"
	plugshimPackage = "./integration/chainlab/plugshim"

	stripped = "-ldflags=-s -w"
)

// program is one of the real programs, built from its published module.
type program struct {
	pkg, version string
	tags         string // build tags that its own build files offer
}

// programs are what Setup builds. containerd goes without the CRI plugin, whose
// dependencies double the build's time: ctr does not use it, and the CRI is
// tested with containerd on Linux.
var programs = []program{
	{"github.com/containerd/containerd/v2/cmd/containerd", containerdVersion, "no_cri,no_tracing"},
	{"github.com/containerd/containerd/v2/cmd/ctr", containerdVersion, "no_tracing"},
	{"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1", hcsshimVersion, ""},
}

func (p program) exe() string { return filepath.Base(p.pkg) + ".exe" }

// path is where the built program is: one folder for each version, set of tags
// and Go release.
func (p program) path() string {
	dir := strings.Join([]string{p.version, strings.ReplaceAll(p.tags, ",", "+"), runtime.Version()}, "-")
	return lab.Cache("windows", dir, p.exe())
}

// Setup sets up the Wine lab and builds the real programs where they are
// missing: three minutes on two cores, 110 MB in the cache.
func Setup(ctx context.Context, report lab.Reporter) error {
	if err := winelab.Setup(ctx, report); err != nil {
		return err
	}
	for _, p := range programs {
		err := lab.Once(ctx, p.path(), func(ctx context.Context, tmp string) error {
			report("building %s %s", p.exe(), p.version)
			start := time.Now()
			if err := p.build(ctx, tmp); err != nil {
				return err
			}
			report("%s built in %v", p.exe(), time.Since(start).Round(time.Second))
			return nil
		})
		if err != nil {
			return fmt.Errorf("set up the chain lab: %w", err)
		}
	}
	if _, err := HyperVShim(ctx); err != nil {
		return fmt.Errorf("set up the chain lab: %w", err)
	}
	if err := warm(ctx, report); err != nil {
		return fmt.Errorf("set up the chain lab: %w", err)
	}
	return nil
}

// warm builds what every Start builds, so that the go command's cache has it.
func warm(ctx context.Context, report lab.Reporter) (err error) {
	tmp, err := os.MkdirTemp("", "gmsa-agent-warm-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	start := time.Now()
	for _, pkg := range []string{agentPackage, wrapperPackage, ccgPackage, plugshimPackage} {
		if err := winelab.Build(ctx, pkg, filepath.Join(tmp, "a.exe"), stripped); err != nil {
			return err
		}
	}
	if err := winelab.BuildDLL(ctx, pluginPackage, filepath.Join(tmp, "a.dll")); err != nil {
		return err
	}
	for _, dll := range []func(context.Context) (string, error){hcsdouble.DLL, hcsdouble.Computecore, proxystub.DLL} {
		if _, err := dll(ctx); err != nil {
			return err
		}
	}
	if took := time.Since(start); took > time.Minute/4 {
		report("the project's own Windows programs built in %v", took.Round(time.Second))
	}
	return nil
}

// build installs the program into a GOPATH of its own, which is where the go
// command puts what it cross-compiles, and moves it to out.
func (p program) build(ctx context.Context, out string) (err error) {
	modules, err := exec.CommandContext(ctx, "go", "env", "GOMODCACHE").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	gopath, err := os.MkdirTemp("", "gmsa-agent-build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(gopath)) }()
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", "-tags="+p.tags, p.pkg+"@"+p.version)
	cmd.Dir = gopath // outside of the project's module
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOBIN=",
		"GOPATH="+gopath, "GOMODCACHE="+strings.TrimSpace(string(modules)))
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go install %s@%s: %w: %s", p.pkg, p.version, err, strings.TrimSpace(string(b)))
	}
	// The cache may be on another file system: copy, not rename.
	data, err := os.ReadFile(filepath.Join(gopath, "bin", "windows_amd64", p.exe()))
	if err != nil {
		return err
	}
	return os.WriteFile(out, data, 0o755)
}

// Ready says why the lab cannot be started; nil when it can.
func Ready() error {
	if err := winelab.Ready(); err != nil {
		return err
	}
	for _, p := range programs {
		if _, err := os.Stat(p.path()); err != nil {
			return fmt.Errorf("%s %s is not built: run `make lab-chain`", p.exe(), p.version)
		}
	}
	return nil
}
