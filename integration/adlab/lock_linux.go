package adlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// lock takes the lab's addresses for this process until the returned file is
// closed or the process ends. Another process's lab is waited for at most wait.
func lock(ctx context.Context, wait time.Duration, report lab.Reporter) (*os.File, error) {
	f, err := os.OpenFile(lab.Cache("ad", "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, errors.New("gave up"))
	defer cancel()
	told := false
	err = lab.WaitFor(ctx, "the AD lab", func(context.Context) error {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		err = fmt.Errorf("it is in use by process %s", holder(f))
		if !told && wait > 0 {
			told = true
			report("waiting for the AD lab: %v", err)
		}
		return err
	})
	if err == nil {
		err = errors.Join(f.Truncate(0), write(f, strconv.Itoa(os.Getpid())))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func write(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// holder is the process id that the lock's holder wrote.
func holder(f *os.File) string {
	b := make([]byte, 16)
	n, _ := f.ReadAt(b, 0) // a short read is the normal case
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return pid
	}
	return "unknown"
}
