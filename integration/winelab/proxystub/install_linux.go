package proxystub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
)

// DLL returns the path of the DLL, which is built once (5 s, most of it spent
// in Windows' headers).
func DLL(ctx context.Context) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, clsid)
	err := fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := source.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(data), data)
		return err
	})
	if err != nil {
		return "", err
	}
	path := lab.Cache("windows", "proxystub-"+hex.EncodeToString(h.Sum(nil))[:12], "ccgps.dll")
	if err := lab.Once(ctx, path, Build); err != nil {
		return "", fmt.Errorf("the interface's proxy/stub: %w", err)
	}
	return path, nil
}

// Install puts the DLL into the lab's system folder and registers it.
func Install(ctx context.Context, l *winelab.Lab) error {
	dll, err := DLL(ctx)
	if err != nil {
		return err
	}
	if err := l.InstallDLL(dll); err != nil {
		return err
	}
	return l.RegisterDLL(ctx, l.Path(`C:\windows\system32\ccgps.dll`))
}
