package winelab

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

//go:embed shim/bcryptprimitives.c
var bcryptprimitives []byte

// recipe is changed whenever makeTemplate is, so that an old template in the
// cache is not taken for a new one.
const recipe = "1"

// value is a registry value.
type value struct{ key, name, kind, data string }

// templateValues make the prefix look like Windows Server 2022 (hcsshim reads
// the build from here and speaks the HCS schema of that build) and keep Wine
// from starting services for devices and event logs that no lab has, which
// halves the start of a lab.
var templateValues = []value{
	{`HKLM\Software\Microsoft\Windows NT\CurrentVersion`, "CurrentBuild", "REG_SZ", "20348"},
	{`HKLM\Software\Microsoft\Windows NT\CurrentVersion`, "CurrentBuildNumber", "REG_SZ", "20348"},
	{`HKLM\Software\Microsoft\Windows NT\CurrentVersion`, "ProductName", "REG_SZ", "Windows Server 2022 Datacenter"},
	disabled("winebus"), disabled("winehid"), disabled("wineusb"),
	disabled("PlugPlay"), disabled("Spooler"), disabled("Eventlog"),
}

// disabled is SERVICE_DISABLED of the service.
func disabled(service string) value {
	return value{`HKLM\System\CurrentControlSet\Services\` + service, "Start", "REG_DWORD", "4"}
}

// templatePath is where the template of this recipe and this Wine is.
func templatePath() (string, error) {
	wine, _, err := binaries()
	if err != nil {
		return "", err
	}
	version, err := exec.Command(wine, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", wine, err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s%v\n%s", recipe, version, templateValues, bcryptprimitives)
	return lab.Cache("wine", "prefix-"+hex.EncodeToString(h.Sum(nil))[:12]), nil
}

// makeTemplate makes a prefix at dir and leaves no process of it.
func makeTemplate(ctx context.Context, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	l, err := open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.halt()) }()
	if err := l.run(l.Command(ctx, "wineboot.exe", "-i")); err != nil {
		return err
	}
	// Debian's Wine 8 makes a Windows 7. This one becomes 10.0.18362.
	if err := l.run(l.Command(ctx, "winecfg.exe", "/v", "win10")); err != nil {
		return err
	}
	for _, v := range templateValues {
		if err := l.setValue(ctx, v); err != nil {
			return err
		}
	}
	// Wine from 8.13 on has its own.
	if _, err := os.Stat(l.Path(`C:\windows\system32\bcryptprimitives.dll`)); errors.Is(err, fs.ErrNotExist) {
		if err := l.installShim(ctx); err != nil {
			return err
		}
	}
	// Wine looks for the COM surrogate where only the 32-bit half of Wine,
	// which is not installed, would put it.
	if err := copyFile(l.Path(`C:\windows\system32\dllhost.exe`), l.Path(`C:\windows\syswow64\dllhost.exe`)); err != nil {
		return err
	}
	if err := l.halt(); err != nil {
		return err
	}
	return ownFolders(l.Path(`C:\users`))
}

func (l *Lab) installShim(ctx context.Context) error {
	src := filepath.Join(l.dir, "bcryptprimitives.c")
	if err := os.WriteFile(src, bcryptprimitives, 0o600); err != nil {
		return err
	}
	dll := filepath.Join(l.dir, "bcryptprimitives.dll")
	if err := BuildC(ctx, dll, append(Strict, "-shared", src, "-ladvapi32")...); err != nil {
		return err
	}
	if err := l.InstallDLL(dll); err != nil {
		return err
	}
	return errors.Join(os.Remove(src), os.Remove(dll))
}

// ownFolders turns the links that Wine makes from the prefix's Desktop,
// Documents and so on to the user's real ones into folders of the prefix.
func ownFolders(users string) error {
	return filepath.WalkDir(users, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.Mkdir(path, 0o700)
	})
}

// sharedSize is from where on a file of the template's drive is linked into a
// lab and not copied: all that is as large are Wine's own programs and DLLs
// (690 MB), which nobody writes to.
const sharedSize = 64 << 10

// clone makes a prefix at dst from the template at src. Registry hives are
// copied: they lie outside of the drive.
func clone(src, dst string) error {
	drive := filepath.Join(src, "drive_c") + string(filepath.Separator)
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o700)
		case rel == "wineserver": // names the socket folder of the template's server
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, to)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if strings.HasPrefix(path, drive) && info.Size() >= sharedSize && os.Link(path, to) == nil {
			return nil
		}
		return copyFile(path, to)
	})
}

// copyFile puts a copy of src at dst. What was at dst is replaced and not
// written to: it may be a link to the template.
func copyFile(src, dst string) error {
	data, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return err
	}
	tmp := dst + ".new"
	if err := os.WriteFile(tmp, data, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dst)
}
