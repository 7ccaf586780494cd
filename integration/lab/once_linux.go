package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Once makes sure that dest, a path in the cache, exists: if it does not, build
// is called with a path beside it to create a file or folder at, which then
// takes its place. A build that fails or is killed leaves no dest behind. Only
// one process builds; others wait for it.
func Once(ctx context.Context, dest string, build func(ctx context.Context, tmp string) error) error {
	if exists(dest) {
		return nil
	}
	unlock, err := lock(ctx, dest+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if exists(dest) {
		return nil
	}
	tmp := dest + ".partial"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := build(ctx, tmp); err != nil {
		return errors.Join(fmt.Errorf("build %s: %w", filepath.Base(dest), err), os.RemoveAll(tmp))
	}
	return os.Rename(tmp, dest)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// lock takes an advisory lock that ends with the process at the latest.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(10 * pollInterval)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, context.Cause(ctx)), f.Close())
		case <-tick.C:
		}
	}
}
