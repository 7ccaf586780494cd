package winelab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// deleteFallback is added to a package's tests. Wine 8 does not know the call by
// which Go's os.RemoveAll deletes (POSIX semantics) and says so with a code
// that Go does not expect; without this, no test could remove its t.TempDir.
const deleteFallback = `package %s

import _ "unsafe"

//go:linkname wineDeletesThePlainWay internal/syscall/windows.TestDeleteatFallback
var wineDeletesThePlainWay bool

func init() { wineDeletesThePlainWay = true }
`

// BuildTest builds the tests of a package of the project for Windows, fit to be
// run in a lab. The tests themselves and what they test are as they are.
func BuildTest(ctx context.Context, pkg, out string) (err error) {
	dir, name, err := locate(ctx, pkg)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "gmsa-agent-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	source := filepath.Join(tmp, "wine_test.go")
	if err := os.WriteFile(source, fmt.Appendf(nil, deleteFallback, name), 0o600); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(dir, "wine_lab_test.go"): source},
	})
	if err != nil {
		return err
	}
	file := filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return err
	}
	return goTool(ctx, []string{"CGO_ENABLED=0"}, []string{
		"test", "-c", "-trimpath", "-overlay", file, "-ldflags=-checklinkname=0", "-o", out, pkg,
	})
}

// locate returns the folder and the name of a package of the project.
func locate(ctx context.Context, pkg string) (dir, name string, err error) {
	root, err := lab.ModuleRoot()
	if err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}\n{{.Name}}", pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("go list %s: %w", pkg, err)
	}
	d, n, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(d), string(n), nil
}
