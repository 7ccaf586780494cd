package local

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// DefaultDir is where the agent's store is unless configured otherwise.
func DefaultDir() string {
	base, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, windows.KF_FLAG_DEFAULT)
	if err != nil {
		base = `C:\ProgramData`
	}
	return filepath.Join(base, "gmsa-agent", "secrets")
}

// noFollow: a reparse point in the place of a file needs the right to write to
// the folder, which only those have who need no trick.
const noFollow = 0

func stat(path string) (stamp, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{modified: info.ModTime(), size: info.Size()}, nil
}

func statOpen(f *os.File) (stamp, error) {
	info, err := f.Stat()
	if err != nil {
		return stamp{}, err
	}
	return stamp{modified: info.ModTime(), size: info.Size()}, nil
}
