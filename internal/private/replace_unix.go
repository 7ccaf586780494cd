//go:build !windows

package private

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func openReplaced(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

func rename(from, to string) error { return os.Rename(from, to) }

// syncFolder makes a rename or a removal survive a power failure.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// createOwn makes a file; its mode is all that keeps others out.
func createOwn(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}
