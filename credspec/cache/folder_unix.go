//go:build !windows

package cache

import (
	"errors"
	"os"
)

// syncFolder makes a rename or a removal survive a power failure.
func syncFolder(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
