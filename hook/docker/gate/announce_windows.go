package gate

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// pluginFolder is where dockerd looks for plugins (its pkg/plugins): below what its
// environment calls ProgramData. The system is asked, because an environment may be
// anybody's.
func pluginFolder() string {
	data, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil {
		data = `C:\ProgramData`
	}
	return filepath.Join(data, "docker", "plugins")
}
