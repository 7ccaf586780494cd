//go:build !windows

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// DefaultDir is where the agent's store is unless configured otherwise.
func DefaultDir() string { return "/var/lib/gmsa-agent/secrets" }

const noFollow = unix.O_NOFOLLOW

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

// openShared opens a file that may be replaced meanwhile. It does not wait for
// the writer of a pipe that somebody put there.
func openShared(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

func rename(from, to string) error { return os.Rename(from, to) }

// syncFolder makes a rename or a removal survive a power failure.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}

func tryLock(f *os.File) (bool, error) {
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

func stat(path string) (stamp, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return stamp{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return stampOf(&st), nil
}

func statOpen(f *os.File) (stamp, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return stamp{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return stampOf(&st), nil
}

func stampOf(st *unix.Stat_t) stamp {
	return stamp{
		modified: time.Unix(st.Mtim.Unix()),
		changed:  st.Ctim.Nano(),
		inode:    uint64(st.Ino),
		size:     st.Size,
	}
}
