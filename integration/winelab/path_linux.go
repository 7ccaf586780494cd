package winelab

import (
	"path/filepath"
	"strings"
)

// Path returns where the lab keeps a file of its drive C: or, for drive Z:,
// the file of this machine.
func (l *Lab) Path(windows string) string {
	path := strings.ReplaceAll(windows, `\`, "/")
	if drive, rest, ok := strings.Cut(path, ":"); ok {
		if strings.EqualFold(drive, "Z") {
			return filepath.Join("/", rest)
		}
		path = rest
	}
	return filepath.Join(l.prefix, "drive_c", path)
}

// WindowsPath returns the name that the lab's programs have for a file of
// this machine: below C: where it is the lab's own, below Z: otherwise.
func (l *Lab) WindowsPath(linux string) string {
	if rest, ok := strings.CutPrefix(linux, filepath.Join(l.prefix, "drive_c")+"/"); ok {
		return `C:\` + strings.ReplaceAll(rest, "/", `\`)
	}
	return `Z:` + strings.ReplaceAll(linux, "/", `\`)
}
