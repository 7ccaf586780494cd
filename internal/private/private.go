// Package private makes folders and locks that only the agent and the host's
// administrators can touch, and tells files that others could change.
//
// It knows the platform's access rights and nothing of what is kept in the
// folders and files.
package private

import (
	"errors"
	"fmt"
	"os"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Folder makes sure that dir exists and that others can change nothing in it:
// a missing one is made with its access rights from the first instant, one
// that is there and open to others is refused with an error that wraps
// [fault.ErrDenied], because somebody may have put it there first. So is one
// that others could exchange for another, because a folder above it is theirs.
func Folder(dir string) error {
	if err := makeFolder(dir); err != nil {
		return err
	}
	if err := checkFolder(dir); err != nil {
		return err
	}
	return checkWay(dir)
}

// Make makes dir, and what is missing above it, as [Folder] does, and takes one
// that is there as it is.
func Make(dir string) error { return makeFolder(dir) }

// Shared makes sure that dir exists and that others can read what is in it and
// change nothing: it is [Folder] for programs, which services' accounts run.
func Shared(dir string) error {
	if err := makeShared(dir); err != nil {
		return err
	}
	if err := checkShared(dir); err != nil {
		return err
	}
	return checkWay(dir)
}

// Lock takes the lock file at path, which it makes if it is missing. If
// another process holds it, the error wraps [fault.ErrUnavailable].
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	got, err := TryLock(f)
	if err == nil && !got {
		err = fmt.Errorf("%s is locked: %w", path, fault.ErrUnavailable)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
