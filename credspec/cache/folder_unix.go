//go:build !windows

package cache

import (
	"errors"
	"os"
)

// syncFolder makes a rename or a removal survive a power failure.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
