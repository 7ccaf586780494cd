package daemon

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// The names are those of both projects' own installation instructions; the
// folders are their programs' defaults.
var (
	containerdTraces = traces{"containerd", []string{
		filepath.Join(known(windows.FOLDERID_ProgramData, `C:\ProgramData`), "containerd"),
		filepath.Join(known(windows.FOLDERID_ProgramFiles, `C:\Program Files`), "containerd"),
	}}
	dockerTraces = traces{"docker", []string{
		filepath.Join(known(windows.FOLDERID_ProgramData, `C:\ProgramData`), "docker", "containers"),
		filepath.Join(known(windows.FOLDERID_ProgramFiles, `C:\Program Files`), "docker"),
	}}
)

// known asks the system and not the environment, which may be anybody's: a runtime
// that is overlooked is taken for one that has no containers.
func known(folder *windows.KNOWNFOLDERID, usual string) string {
	if path, err := windows.KnownFolderPath(folder, 0); err == nil {
		return path
	}
	return usual
}

func hasService(name string) bool {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return true
	}
	defer windows.CloseServiceHandle(manager) //nolint:errcheck // nothing was written
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return true
	}
	service, err := windows.OpenService(manager, text, windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return !errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST)
	}
	_ = windows.CloseServiceHandle(service)
	return true
}
