// Package proxystub gives a Wine lab the proxy/stub DLL by which COM carries
// calls of CCG's plugin interface between processes. Windows has its own.
package proxystub

import (
	"context"
	"embed"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
)

//go:embed src
var source embed.FS

// clsid is that of Windows' own stub of the interface, so that the registry
// looks as it does there.
const clsid = "{0xA6FF50C0,0x56C0,0x71CA,{0x57,0x32,0xBE,0xD3,0x03,0xA5,0x96,0x28}}"

// Build compiles the DLL to out.
func Build(ctx context.Context, out string) error {
	dir, err := os.MkdirTemp("", "proxystub-")
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
	in := func(name string) string { return filepath.Join(dir, name) }
	return winelab.BuildC(ctx, out, "-shared", "-I"+dir, "-include", in("prelude.h"),
		"-DREGISTER_PROXY_DLL", "-DPROXY_CLSID_IS="+clsid,
		in("ccg_p.c"), in("ccg_i.c"), in("dlldata.c"), in("ccgps.def"), "-lrpcrt4", "-lole32", "-loleaut32", "-luuid")
}
