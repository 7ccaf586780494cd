package vaultlab

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

// Version is Vault's. It is required in the server's module, which replaces
// what Vault's own go.mod does (`go install` takes no module with
// replacements), and the tree's copy of Vault's SDK by the published version
// that it builds with.
const Version = "v1.21.2"

// The module that the programs are built from. The checksums of all that it
// needs are in its go.sum, and the go command verifies them.
var (
	//go:embed testdata/vault.mod
	goMod []byte
	//go:embed testdata/vault.sum
	goSum []byte
)

// program is one that Setup builds.
type program struct{ name, pkg string }

// The plugins are those that a build which is not minimal has inside.
var (
	vault            = program{"vault", "github.com/hashicorp/vault"}
	pluginLDAP       = plugin("vault-plugin-secrets-openldap")
	pluginAD         = plugin("vault-plugin-secrets-ad")
	pluginKubernetes = plugin("vault-plugin-auth-kubernetes")

	programs = []program{vault, pluginLDAP, pluginAD, pluginKubernetes}
)

func plugin(name string) program {
	return program{name, "github.com/hashicorp/" + name + "/cmd/" + name}
}

// folder is where the built programs are: one for each set of modules and Go
// release.
func folder() string {
	sum := sha256.Sum256(append(goMod, goSum...))
	return lab.Cache("vault", strings.Join([]string{Version, hex.EncodeToString(sum[:4]), runtime.Version()}, "-"), "bin")
}

func (p program) path() string { return filepath.Join(folder(), p.name) }

// Setup builds Vault and its plugins where they are missing: six minutes on two
// cores the first time, 220 MB in the cache.
func Setup(ctx context.Context, report lab.Reporter) error {
	for _, p := range programs {
		err := lab.Once(ctx, p.path(), func(ctx context.Context, tmp string) error {
			if p == vault {
				report("building %s %s: this takes up to 10 minutes, once", p.name, Version)
			} else {
				report("building %s", p.name)
			}
			start := time.Now()
			if err := p.build(ctx, tmp); err != nil {
				return err
			}
			report("%s built in %v", p.name, time.Since(start).Round(time.Second))
			return nil
		})
		if err != nil {
			return fmt.Errorf("set up the Vault lab: %w", err)
		}
	}
	return nil
}

// build builds the program in a module of its own.
func (p program) build(ctx context.Context, out string) (err error) {
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
	// "minimal" leaves out the engines and methods for single products, which
	// would take three times as long and clash with the published SDK. At more
	// than two compilers at once the biggest packages need 4 GB.
	cmd := exec.CommandContext(ctx, "go", "build", "-p=2", "-mod=readonly", "-buildvcs=false", "-tags=minimal", "-trimpath", "-ldflags=-s -w", "-o", out, p.pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS=", "GOARCH=")
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", p.pkg, err, strings.TrimSpace(string(b)))
	}
	return nil
}

// Ready says why the lab cannot be started; nil when it can.
func Ready() error {
	for _, p := range programs {
		if _, err := os.Stat(p.path()); err != nil {
			return fmt.Errorf("%s is not built: run `make lab-vault`", p.name)
		}
	}
	return nil
}
