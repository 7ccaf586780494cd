package winelab

import (
	"context"
	"path/filepath"
)

// SetString sets a registry string, for example of `HKLM\Software\Contoso`.
// An empty name is the key's default value.
func (l *Lab) SetString(ctx context.Context, key, name, data string) error {
	return l.setValue(ctx, value{key, name, "REG_SZ", data})
}

func (l *Lab) setValue(ctx context.Context, v value) error {
	args := []string{"add", v.key, "/t", v.kind, "/d", v.data, "/f"}
	if v.name == "" {
		args = append(args, "/ve")
	} else {
		args = append(args, "/v", v.name)
	}
	return l.run(l.Command(ctx, "reg.exe", args...))
}

// InstallDLL puts a DLL of this machine into the lab's system folder.
func (l *Lab) InstallDLL(path string) error { return l.Install(path, `C:\windows\system32`) }

// Install puts a copy of a file of this machine into a folder of the lab.
func (l *Lab) Install(path, folder string) error {
	return l.InstallAs(path, folder+`\`+filepath.Base(path))
}

// InstallAs is Install under another name: file is its whole Windows path.
func (l *Lab) InstallAs(path, file string) error { return copyFile(path, l.Path(file)) }

// RegisterDLL lets a COM DLL register itself, as `regsvr32 /s` does on Windows.
func (l *Lab) RegisterDLL(ctx context.Context, path string) error {
	return l.run(l.Command(ctx, "regsvr32.exe", "/s", l.WindowsPath(path)))
}

// UnregisterDLL is `regsvr32 /s /u`.
func (l *Lab) UnregisterDLL(ctx context.Context, path string) error {
	return l.run(l.Command(ctx, "regsvr32.exe", "/s", "/u", l.WindowsPath(path)))
}
