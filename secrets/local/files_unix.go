//go:build !windows

package local

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultDir is where the agent's store is unless configured otherwise.
func DefaultDir() string { return "/var/lib/gmsa-agent/secrets" }

const noFollow = unix.O_NOFOLLOW

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
