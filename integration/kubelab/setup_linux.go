package kubelab

import (
	"context"
	"crypto/sha256"
	_ "embed" // the server's module
	"encoding/hex"
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

// version is that of kube-apiserver. It is required in the server's module,
// which replaces every module of Kubernetes' source tree by its published one
// (`go install` takes no module with replacements).
const version = "v1.37.2"

// The module that the servers are built from. The checksums of all that it
// needs are in its go.sum, and the go command verifies them.
var (
	//go:embed testdata/server.mod
	goMod []byte
	//go:embed testdata/server.sum
	goSum []byte
)

// server is one of the programs that Setup builds.
type server struct {
	name, pkg string
	ldflags   string
}

// linkedVersion gives the API server the version that it reports; without it,
// it says v0.0.0 and takes itself for a release without any feature.
const linkedVersion = "-X k8s.io/component-base/version.gitVersion=" + version +
	" -X k8s.io/component-base/version.gitMajor=1" +
	" -X k8s.io/component-base/version.gitMinor=37" +
	" -X k8s.io/component-base/version.gitTreeState=clean"

var (
	etcd      = server{"etcd", "go.etcd.io/etcd/server/v3", "-s -w"}
	apiserver = server{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "-s -w " + linkedVersion}
)

// path is where the built program is: one folder for each set of modules and Go
// release.
func (s server) path() string {
	sum := sha256.Sum256(append(goMod, goSum...))
	return lab.Cache("kube", strings.Join([]string{version, hex.EncodeToString(sum[:4]), runtime.Version()}, "-"), s.name)
}

// Setup builds etcd and kube-apiserver where they are missing: ten minutes on
// two cores the first time, 145 MB in the cache.
func Setup(ctx context.Context, report lab.Reporter) error {
	for _, s := range []server{etcd, apiserver} {
		err := lab.Once(ctx, s.path(), func(ctx context.Context, tmp string) error {
			if s == apiserver {
				report("building %s %s: this takes up to 10 minutes, once", s.name, version)
			} else {
				report("building %s", s.name)
			}
			start := time.Now()
			if err := s.build(ctx, tmp); err != nil {
				return err
			}
			report("%s built in %v", s.name, time.Since(start).Round(time.Second))
			return nil
		})
		if err != nil {
			return fmt.Errorf("set up the Kubernetes lab: %w", err)
		}
	}
	return nil
}

// build builds the program in a module of its own.
func (s server) build(ctx context.Context, out string) (err error) {
	dir, err := os.MkdirTemp("", "gmsa-agent-build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, data := range map[string][]byte{"go.mod": goMod, "go.sum": goSum} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	// At more than two compilers at once the biggest packages need 4 GB.
	cmd := exec.CommandContext(ctx, "go", "build", "-p=2", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags="+s.ldflags, "-o", out, s.pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS=", "GOARCH=")
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", s.pkg, err, strings.TrimSpace(string(b)))
	}
	return nil
}

// Ready says why the lab cannot be started; nil when it can.
func Ready() error {
	for _, s := range []server{etcd, apiserver} {
		if _, err := os.Stat(s.path()); err != nil {
			return fmt.Errorf("%s is not built: run `make lab-kube`", s.name)
		}
	}
	return nil
}
