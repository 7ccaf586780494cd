package config

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// pollEvery is how often the file is looked at. Reading it is a few
// microseconds; a person who saves it does not notice the wait.
const pollEvery = 2 * time.Second

// Watch looks at the file that c was read from, or at [DefaultPath] if there
// was none, and reports what becomes of it until ctx ends: a new configuration,
// or the error that keeps the file from being one. Each state of the file is
// reported once. After an error the caller keeps what it has; that goes for a
// file that was removed, too, because a policy must not vanish with it.
//
// The file is read and compared rather than subscribed to: editors replace it,
// Kubernetes switches a link two folders above it, and file systems differ in
// what they tell. A state counts when two looks in a row have seen it, so that
// half of a file being written is not taken for the whole.
func (c *Config) Watch(ctx context.Context, report func(*Config, error)) {
	name := cmp.Or(c.path, DefaultPath())
	w := watcher{name: name, reported: state{digest: c.digest}}
	if first := look(name); c.path == "" && errors.Is(first.err, fault.ErrNotFound) {
		w.reported = first // there is no file, and there was none: that is no news
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if data, changed := w.look(); changed {
			if err := w.reported.err; err != nil {
				report(nil, err)
			} else {
				report(Parse(name, data))
			}
		}
	}
}

type watcher struct {
	name           string
	seen, reported state
}

// state is what one look has found: the content, or why there was none.
type state struct {
	digest digest
	data   []byte
	err    error
}

func (s state) same(t state) bool {
	if s.err != nil || t.err != nil {
		return s.err != nil && t.err != nil && s.err.Error() == t.err.Error()
	}
	return s.digest == t.digest
}

func look(name string) state {
	data, err := read(name)
	if err != nil {
		return state{err: err}
	}
	return state{sha256.Sum256(data), data, nil}
}

// look says whether the file has come to rest in a state that was not reported.
func (w *watcher) look() (data []byte, changed bool) {
	now := look(w.name)
	atRest := now.same(w.seen)
	w.seen = state{now.digest, nil, now.err}
	if !atRest || now.same(w.reported) {
		return nil, false
	}
	w.reported = w.seen
	return now.data, true
}
