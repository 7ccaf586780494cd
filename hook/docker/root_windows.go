package docker

import (
	"os"
	"path/filepath"
)

func daemonConfig() string { return filepath.Join(defaultRoot(), "config", "daemon.json") }

// defaultRoot is dockerd's: it asks the environment, too.
func defaultRoot() string {
	data := os.Getenv("ProgramData")
	if data == "" {
		data = `C:\ProgramData`
	}
	return filepath.Join(data, "docker")
}
