package docker

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// reader reads Docker's folder until the test ends, as dockerd may at any moment:
// what is there is whole, and what was there once does not go away while it is
// configured.
type reader struct {
	stop, done chan struct{}
	reads      int
	tight      atomic.Bool // it reads without a pause, which the whole machine notices
}

const pause = 2 * time.Millisecond

func read(h *host) *reader {
	r := &reader{stop: make(chan struct{}), done: make(chan struct{})}
	seen := map[string]bool{}
	go func() {
		defer close(r.done)
		for {
			select {
			case <-r.stop:
				return
			default:
			}
			if !r.tight.Load() {
				time.Sleep(pause)
			}
			entries, err := os.ReadDir(h.specs())
			if err != nil {
				h.Errorf("Docker's folder: %v", err)
				return
			}
			for _, e := range entries {
				if strings.HasSuffix(e.Name(), ".json") {
					seen[e.Name()] = true
				}
			}
			for name := range seen {
				data, err := os.ReadFile(h.specs(name))
				if errors.Is(err, fs.ErrNotExist) && name != "webapp01.json" {
					continue // a test takes it out of the configuration
				}
				if err == nil {
					_, err = credspec.Parse(data)
				}
				if r.reads++; err != nil && !strings.HasPrefix(name, "broken") {
					h.Errorf("reading %d, of %s, %d bytes: %v", r.reads, name, len(data), err)
					return
				}
			}
		}
	}()
	h.Cleanup(func() {
		close(r.stop)
		<-r.done
		// A short test on a busy machine has a few: it must not have none.
		if r.reads < 10 {
			h.Errorf("Docker's folder was read %d times only", r.reads)
		}
		h.Logf("Docker's folder was read %d times, and whole each time", r.reads)
	})
	return r
}
