package pluginharness

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// The packages that the DLL is made of have tests of their own, which say more
// of a failure than the DLL can. Here they run as Windows programs.
func TestThePackagesOfTheDLLPassTheirOwnTestsOnWindows(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	root, err := lab.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"internal/channel", "internal/ccgplugin", "internal/wire"} {
		t.Run(pkg, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			exe := filepath.Join(t.TempDir(), "test.exe")
			build := exec.CommandContext(ctx, "go", "test", "-c", "-o", exe, "./"+pkg)
			build.Dir = root
			build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go test -c: %v: %s", err, out)
			}
			cmd := h.Command(ctx, exe, "-test.timeout=2m")
			cmd.Dir = filepath.Join(root, pkg)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
