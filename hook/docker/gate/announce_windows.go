package gate

import (
	"os"
	"path/filepath"
)

// pluginFolder is where dockerd looks for plugins (its pkg/plugins).
func pluginFolder() string {
	data := os.Getenv("ProgramData")
	if data == "" {
		data = `C:\ProgramData`
	}
	return filepath.Join(data, "docker", "plugins")
}
