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
