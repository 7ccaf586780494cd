package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
)

const (
	// maxWatches bounds the watches of a store: each takes a connection. A host
	// seldom serves more than a few domains.
	maxWatches = 64
	// maxSecrets bounds what is known of Secrets, watched or not; more than a
	// cache has.
	maxSecrets = 1024
	// idle is for how long a Secret is watched that nobody uses.
	idle = time.Hour
	// lasting is for how long a watch is asked for, and up to twice as much: as
	// long as client-go's reflectors do.
	lasting = 5 * time.Minute
	// Pauses before a watch that failed is tried again, each a quarter more or
	// less.
	firstPause = time.Second
	mostPause  = time.Minute
	// deniedPause is the one after a refusal: rights change seldom.
	deniedPause = 10 * time.Minute
	// lookTimeout bounds the request that goes with a watch.
	lookTimeout = 10 * time.Second
)

// watches knows the latest state of the Secrets that are in use.
type watches struct {
	client *kubeclient.Client
	pause  func(failures int, denied bool) time.Duration

	mu       sync.Mutex
	closed   bool
	running  int
	known    map[name]*state
	finished sync.WaitGroup
}

// state is what is known of one Secret. watches.mu guards it.
type state struct {
	latest version
	gone   bool // deleted in this state
	used   time.Time
	end    context.CancelFunc // of its watch; nil: there is none
}

func newWatches(c *kubeclient.Client) *watches {
	return &watches{client: c, pause: pause, known: map[name]*state{}}
}

// pause is how long to wait before the next watch, after so many in a row that
// failed.
func pause(failures int, denied bool) time.Duration {
	p := min(firstPause<<min(failures-1, 10), mostPause)
	if denied {
		p = deniedPause
	}
	return p*3/4 + rand.N(p/2)
}

// current says whether v is the latest state that is known.
func (w *watches) current(n name, v string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.known[n]
	if st == nil {
		return false
	}
	st.used = time.Now()
	return !st.gone && st.latest.String() == v
}

// fetched notes what a Secret was fetched with, and has it watched.
func (w *watches) fetched(n name, v version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	st := w.known[n]
	if st == nil {
		w.makeRoom()
		st = &state{latest: v}
		w.known[n] = st
	}
	st.used = time.Now()
	st.see(v, false)
	if st.end == nil && w.running < maxWatches {
		var ctx context.Context
		ctx, st.end = context.WithCancel(context.Background())
		w.running++
		w.finished.Go(func() { w.follow(ctx, n, st) })
	}
}

// see notes a state, unless a later one is known already: fetches and the watch
// overtake each other.
func (st *state) see(v version, gone bool) {
	if v.after(st.latest) {
		st.latest, st.gone = v, gone
	}
}

// makeRoom forgets the Secret that was not used for longest, if there are too
// many. watches.mu is held.
func (w *watches) makeRoom() {
	if len(w.known) < maxSecrets {
		return
	}
	var oldest name
	var used time.Time
	for n, st := range w.known {
		if used.IsZero() || st.used.Before(used) {
			oldest, used = n, st.used
		}
	}
	w.forget(oldest)
}

// end ends the watch of a Secret that there is not, or that may not be seen.
func (w *watches) end(n name) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(n)
}

func (w *watches) forget(n name) {
	if st := w.known[n]; st != nil {
		delete(w.known, n)
		if st.end != nil {
			st.end()
		}
	}
}

func (w *watches) close() {
	w.mu.Lock()
	w.closed = true
	for n := range w.known {
		w.forget(n)
	}
	w.mu.Unlock()
	w.finished.Wait()
}

// follow watches a Secret until nobody uses it any more.
func (w *watches) follow(ctx context.Context, n name, st *state) {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.running--
		st.end()
		st.end = nil
	}()
	failures := 0
	for w.inUse(n, st) {
		began := time.Now()
		err := w.watch(ctx, n, st)
		if ctx.Err() != nil {
			return
		}
		failures++
		if time.Since(began) >= mostPause {
			failures = 1
			if errors.Is(err, io.EOF) {
				continue // its time was over
			}
		}
		timer := time.NewTimer(w.pause(failures, forbidden(err)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// inUse reports whether somebody has used the Secret lately. If nobody has, it
// is not known any more: who asks for it next fetches it.
func (w *watches) inUse(n name, st *state) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(st.used) < idle {
		return true
	}
	if w.known[n] == st {
		delete(w.known, n)
	}
	return false
}

// watch watches a Secret until the watch ends.
func (w *watches) watch(ctx context.Context, n name, st *state) error {
	stream, err := w.client.Watch(ctx, n.collection(), n.name, lasting+rand.N(lasting))
	if err != nil {
		return err
	}
	defer stream.Close() //nolint:errcheck // nothing was written
	// The watch tells of a Secret that is there, and what happens from now on.
	// That it was deleted before, nobody would tell.
	if err := w.look(ctx, n, st); err != nil {
		return err
	}
	for {
		change, err := stream.Next()
		if err != nil {
			return err
		}
		if change.Name != n.name || change.UID == "" {
			continue
		}
		w.mu.Lock()
		st.see(version{change.UID, change.ResourceVersion}, change.Type == "DELETED")
		w.mu.Unlock()
	}
}

// look asks for a Secret's metadata.
func (w *watches) look(ctx context.Context, n name, st *state) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	answer, err := w.client.Get(ctx, n.path(), kubeclient.Metadata, maxObject)
	if errors.Is(err, fault.ErrNotFound) {
		w.mu.Lock()
		defer w.mu.Unlock()
		st.gone = true
		return nil
	}
	if err != nil {
		return err
	}
	// kubectl keeps a copy of what it has applied in an annotation.
	defer clear(answer.Body)
	var object struct{ Metadata metadata }
	if json.Unmarshal(answer.Body, &object) != nil {
		return fault.ErrUnavailable
	}
	m := object.Metadata
	if err := m.check(n); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	st.see(version{m.UID, m.ResourceVersion}, false)
	return nil
}
