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

//go:embed vmcompute computecore
var sources embed.FS

// dlls are the double's two, each with its sources: computecore.dll has of
// vmcompute.dll's what is about CCG.
var dlls = map[string][]string{
	"vmcompute.dll": {"vmcompute/*.c"},
	"computecore.dll": {
		"computecore/*.c", "vmcompute/ccg.c", "vmcompute/json.c", "vmcompute/service.c", "vmcompute/state.c", "vmcompute/text.c",
	},
}

// DLL returns the path of vmcompute.dll, through which hcsshim calls HCS. It is
// compiled once (10 s).
func DLL(ctx context.Context) (string, error) { return dll(ctx, "vmcompute.dll") }

// Computecore returns the path of computecore.dll, through which the agent does.
func Computecore(ctx context.Context) (string, error) { return dll(ctx, "computecore.dll") }

func dll(ctx context.Context, name string) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(sources, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := sources.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(data), data)
		return err
	})
	if err != nil {
		return "", err
	}
	path := lab.Cache("windows", "hcsdouble-"+hex.EncodeToString(h.Sum(nil))[:12], name)
	return path, lab.Once(ctx, path, func(ctx context.Context, out string) error { return build(ctx, name, out) })
}

func build(ctx context.Context, name, out string) error {
	dir := out + ".src"
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, sources)); err != nil {
		return err
	}
	args := append([]string{"-shared", `-DHCSDOUBLE_DLL="` + name + `"`}, winelab.Strict...)
	for _, pattern := range dlls[name] {
		files, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return err
		}
		args = append(args, files...)
	}
	return errors.Join(winelab.BuildC(ctx, out, append(args, "-lole32", "-ladvapi32")...), os.RemoveAll(dir))
}
