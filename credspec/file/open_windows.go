package file

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// openFlags is nothing: pipes and devices have no place in a folder here, and
// os.Root refuses their reserved names.
const openFlags = 0

// malformedName reports whether the system says that a name cannot be one.
func malformedName(code syscall.Errno) bool {
	switch code {
	case windows.ERROR_INVALID_NAME, windows.ERROR_BAD_PATHNAME, windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_CANT_RESOLVE_FILENAME:
		return true
	}
	return false
}
