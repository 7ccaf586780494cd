// Package pluginharness tests the CCG plugin DLL as the binary that it is: a C
// program (src) loads or activates it as CCG does, against a server (server)
// that speaks with the project's own channel and protocol code.
//
// The suite runs under Wine. What that cannot show is said in package winelab
// and in docs/ccg-plugin.md.
package pluginharness

import (
	"context"
	"embed"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
)

//go:embed src
var source embed.FS

// Build compiles the harness to out.
func Build(ctx context.Context, out string) error {
	root, err := lab.ModuleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pluginharness-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	src, err := fs.Sub(source, "src")
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, src); err != nil {
		return err
	}
	args := append([]string{"-I" + filepath.Join(root, "cmd", "ccg-plugin")}, winelab.Strict...)
	return winelab.BuildC(ctx, out, append(args,
		filepath.Join(dir, "harness.c"), filepath.Join(dir, "spy.c"), "-lole32", "-luuid", "-lpsapi", "-lshell32")...)
}
