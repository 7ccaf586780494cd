package daemon

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// The names are those of both projects' own installation instructions; the
// folders are their programs' defaults.
var (
	containerdTraces = traces{"containerd", []string{filepath.Join(os.Getenv("ProgramData"), "containerd"), filepath.Join(os.Getenv("ProgramFiles"), "containerd")}}
	dockerTraces     = traces{"docker", []string{filepath.Join(os.Getenv("ProgramData"), "docker", "containers"), filepath.Join(os.Getenv("ProgramFiles"), "docker")}}
)

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
