//go:build !windows

package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// makeFolder makes dir for its owner alone, and what is missing above it.
func makeFolder(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// checkFolder refuses a folder in which others could replace the key.
func checkFolder(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	mode := uint32(st.Mode)
	switch {
	case mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%w: %s is not a folder", fault.ErrMalformed, dir)
	case mode&0o022 != 0:
		return fmt.Errorf("%w: folder %s has mode %#o, but others must not write to it (0700)", fault.ErrDenied, dir, mode&0o777)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%w: folder %s belongs to uid %d, neither root nor this process", fault.ErrDenied, dir, st.Uid)
	}
	return nil
}

// TryLock takes an exclusive lock on an open file, which ends with the process
// at the latest. It reports false if another one holds it.
func TryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return true, nil
		case unix.EWOULDBLOCK:
			return false, nil
		case unix.EINTR:
			continue
		}
		return false, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
}
