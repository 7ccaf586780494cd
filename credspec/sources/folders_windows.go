package sources

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// DefaultFolders are the agent's own folder and the one that dockerd has under
// its default root, where New-CredentialSpec writes to.
func DefaultFolders() []string {
	data, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, windows.KF_FLAG_DEFAULT)
	if err != nil {
		data = `C:\ProgramData`
	}
	return []string{
		filepath.Join(data, "gmsa-agent", "CredentialSpecs"),
		filepath.Join(data, "docker", "CredentialSpecs"),
	}
}
