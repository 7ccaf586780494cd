package stores

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/containerdlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/netlab"
)

// programs is the folder with the project's own programs, as a release has them.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if netlab.Ready() == nil {
			var err error
			if programs, err = os.MkdirTemp("", "gmsa-programs-"); err == nil {
				defer os.RemoveAll(programs) //nolint:errcheck // a temporary folder
				err = errors.Join(build("gmsa-agent", "./cmd/gmsa-agent"), build("shim/"+containerdlab.Shim, "./cmd/containerd-shim-gmsa"))
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}())
}

func build(name, pkg string) error {
	root, err := lab.ModuleRoot()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(programs, name), pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, out)
	}
	return nil
}
