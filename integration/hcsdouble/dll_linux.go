package hcsdouble

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
)

//go:embed vmcompute
var sources embed.FS

// DLL returns the path of vmcompute.dll, which is compiled once (10 s).
func DLL(ctx context.Context) (string, error) {
	names, err := fs.Glob(sources, "vmcompute/*.[ch]")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range names {
		data, err := sources.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(data), data)
	}
	path := lab.Cache("windows", "hcsdouble-"+hex.EncodeToString(h.Sum(nil))[:12], "vmcompute.dll")
	return path, lab.Once(ctx, path, build)
}

func build(ctx context.Context, out string) error {
	dir := out + ".src"
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, sources)); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "vmcompute", "*.c"))
	if err != nil {
		return err
	}
	args := append(append([]string{"-shared"}, winelab.Strict...), files...)
	return errors.Join(winelab.BuildC(ctx, out, append(args, "-lole32", "-ladvapi32")...), os.RemoveAll(dir))
}
