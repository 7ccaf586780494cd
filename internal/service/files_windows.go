package service

import (
	"errors"

	"golang.org/x/sys/windows"
)

// busy says whether a file cannot be removed because it is used. Windows answers
// "access denied" for a program that runs and a DLL that is loaded.
func busy(err error) bool {
	return errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION) ||
		errors.Is(err, windows.ERROR_USER_MAPPED_FILE) || errors.Is(err, windows.ERROR_DIR_NOT_EMPTY)
}

// removeLater has Windows remove a file, or an empty folder, when it starts
// the next time.
func removeLater(path string) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(name, nil, windows.MOVEFILE_DELAY_UNTIL_REBOOT)
}
