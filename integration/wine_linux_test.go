package integration_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
)

// windowsPackages have code of their own for Windows.
var windowsPackages = []string{
	"./credspec/cache",
	"./credspec/file",
	"./credspec/registry",
	"./hcs",
	"./hook/bundle",
	"./internal/ccgplugin",
	"./internal/channel",
	"./internal/eventlog",
	"./internal/membership",
	"./internal/outbound",
	"./internal/private",
	"./internal/service",
	"./secrets/local",
}

// TestWindowsCodeUnderWine runs packages' own tests as Windows programs.
func TestWindowsCodeUnderWine(t *testing.T) {
	if err := winelab.Ready(); err != nil {
		t.Skip(err)
	}
	l, err := winelab.Start(t.Context(), winelab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	root, err := lab.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range windowsPackages {
		t.Run(strings.TrimPrefix(pkg, "./"), func(t *testing.T) {
			exe := filepath.Join(t.TempDir(), "pkg.test.exe")
			if err := winelab.BuildTest(t.Context(), pkg, exe); err != nil {
				t.Fatal(err)
			}
			cmd := l.Command(t.Context(), exe, "-test.v", "-test.short", "-test.timeout=3m")
			cmd.Dir = filepath.Join(root, pkg)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			passed := strings.Count(string(out), "--- PASS: ")
			t.Logf("%d tests passed, %d skipped", passed, strings.Count(string(out), "--- SKIP: "))
			if passed == 0 {
				t.Errorf("no test ran:\n%s", out)
			}
		})
	}
}
