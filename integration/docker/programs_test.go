package docker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// programs is the folder with the project's own programs, as a release has them.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if len(machines()) > 0 {
			var err error
			if programs, err = os.MkdirTemp("", "gmsa-programs-"); err == nil {
				defer os.RemoveAll(programs) //nolint:errcheck // a temporary folder
				err = build()
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}())
}

// program is the path of one of the project's programs.
func program(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(programs, name)
}

func build() error {
	root, err := lab.ModuleRoot()
	if err != nil {
		return err
	}
	for _, name := range []string{"gmsa-agent", "containerd-shim-gmsa"} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", program(name), "./cmd/"+name)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", name, err, out)
		}
	}
	return nil
}
