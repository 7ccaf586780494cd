package docker

import (
	"path/filepath"

	sys "golang.org/x/sys/windows"
)

func daemonConfig() string { return filepath.Join(defaultRoot(), "config", "daemon.json") }

// defaultRoot is dockerd's, which asks its environment for the same folder.
func defaultRoot() string {
	data, err := sys.KnownFolderPath(sys.FOLDERID_ProgramData, 0)
	if err != nil {
		data = `C:\ProgramData`
	}
	return filepath.Join(data, "docker")
}
