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

// makeShared makes dir for everybody to read, and what is missing above it.
func makeShared(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// checkShared refuses a folder that others may write to.
func checkShared(dir string) error { return checkFolder(dir) }

// checkFolder refuses a folder in which others could replace the key.
func checkFolder(dir string) error {
	st, err := stat(dir)
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%w: %s is not a folder", fault.ErrMalformed, dir)
	case st.Mode&others != 0:
		return fmt.Errorf("%w: folder %s has mode %#o, but others must not write to it (0700)", fault.ErrDenied, dir, st.Mode&0o777)
	}
	return checkOwner("folder "+dir, st)
}

// others may write: the group and everybody.
const others = 0o022

// checkAncestor refuses a folder in which others could exchange a folder. In
// one that is sticky, such as /tmp, only the owner of what is in it can
// (unlink(2)), and that owner is checked with the next step.
func checkAncestor(dir string) error { return checkWritable(dir, unix.S_ISVTX) }

// checkHolder refuses a folder in which others could put a file.
func checkHolder(dir string) error { return checkWritable(dir, 0) }

func checkFile(path string) error { return checkWritable(path, 0) }

func checkWritable(path string, unless uint32) error {
	st, err := stat(path)
	if err != nil {
		return err
	}
	if mode := uint32(st.Mode); mode&others != 0 && mode&unless == 0 && !readOnly(path) {
		return fmt.Errorf("%w: %s has mode %#o, but others must not write to it: chmod go-w %[2]s", fault.ErrDenied, path, mode&0o7777)
	}
	return checkOwner(path, st)
}

// checkReaders refuses a file that the group or everybody may read. A link's
// target is what is looked at.
func checkReaders(path string) error {
	st, err := stat(path)
	if err == nil && st.Mode&0o044 != 0 {
		err = fmt.Errorf("%w: %s has mode %#o, but others must not read it: chmod go-r %[2]s", fault.ErrDenied, path, st.Mode&0o7777)
	}
	return err
}

// readOnly says whether path is on a file system that nobody can write to:
// Kubernetes mounts a ConfigMap so, and its folder has mode 0777.
func readOnly(path string) bool { return unix.Access(path, unix.W_OK) == unix.EROFS }

// checkLink refuses a link of others. Its mode says nothing, and what may
// replace it is up to its folder.
func checkLink(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return checkOwner("link "+path, st)
}

func isLink(info fs.FileInfo) bool { return info.Mode()&fs.ModeSymlink != 0 }

func stat(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return st, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st, nil
}

func checkOwner(what string, st unix.Stat_t) error {
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to uid %d, neither root nor this process", fault.ErrDenied, what, st.Uid)
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
