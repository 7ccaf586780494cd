package locked

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// protect locks the pages and leaves them out of core dumps. Without
// CAP_IPC_LOCK a process may lock RLIMIT_MEMLOCK bytes.
func protect(pages []byte) error {
	if err := unix.Madvise(pages, unix.MADV_DONTDUMP); err != nil {
		return fmt.Errorf("keep memory out of core dumps: %w", err)
	}
	if err := unix.Mlock(pages); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}

// unprotect makes the pages ordinary again: Go will use them for something else.
func unprotect(pages []byte) {
	_ = unix.Munlock(pages)
	_ = unix.Madvise(pages, unix.MADV_DODUMP)
}

// NoDump keeps the whole process from being dumped, and from being read by
// other processes of its user.
func NoDump() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("refuse core dumps: %w", err)
	}
	return nil
}
