package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// place is one credential spec in one place that Docker reads.
type place struct {
	spec     Spec
	file     string // its name in the target
	registry bool

	turn chan struct{} // held by who reads and writes it

	// What follows, and the target's content, are the holder's of turn.
	pending hook.Copy // made, and not there yet
	failed  int       // how often in a row
	copy    hook.Copy // that the last renewal has found or made
	renewed time.Time // when that began, if it has succeeded

	mu    sync.Mutex // guards what follows
	at    string     // its path; empty: not known yet
	kept  bool
	since time.Time
	err   error
	next  time.Time // when it is to be looked at again
}

func newPlace(s Spec, registry bool) *place {
	p := &place{spec: s, registry: registry, file: s.Name + ".json", turn: make(chan struct{}, 1)}
	if registry {
		p.file = s.Name
	}
	return p
}

// Windows knows files and values without regard to case.
func fileKey(name string) string     { return "file://" + strings.ToLower(name) }
func registryKey(name string) string { return "registry://" + strings.ToLower(name) }

func (p *place) key() string {
	if p.registry {
		return registryKey(p.file)
	}
	return fileKey(p.file)
}

// name is the place as Docker's option has it.
func (p *place) name() string {
	if p.registry {
		return "registry://" + p.file
	}
	return "file://" + p.file
}

func (p *place) shared() hook.Shared {
	return hook.Shared{Place: Runtime + " " + p.name(), Reference: p.spec.Reference, Secret: p.spec.Secret}
}

func (p *place) status(containers int) PlaceStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PlaceStatus{Place: p.name(), Path: p.at, Reference: p.spec.Reference, Kept: p.kept, Written: p.since, Containers: containers}
	if p.err != nil {
		s.Error = p.err.Error()
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Configure replaces the credential specs that are kept. A place whose settings
// are the same goes on.
func (w *Watch) Configure(specs []Spec) {
	w.mu.Lock()
	defer w.mu.Unlock()
	places := map[string]*place{}
	for _, s := range specs {
		for _, registry := range []bool{false, true} {
			if registry && !s.Registry {
				continue
			}
			p := newPlace(s, registry)
			if old := w.places[p.key()]; old != nil && old.spec.same(s) {
				p = old
			}
			places[p.key()] = p
		}
	}
	for _, m := range w.members {
		// One whose place is gone runs with what it has read; its grants end with it.
		if p := places[m.place.key()]; p != nil {
			m.place = p
		}
	}
	w.places = places
}

func (s Spec) same(t Spec) bool {
	s.Registry, t.Registry = false, false
	return s == t
}

var errNoRoot = fmt.Errorf("it is not known yet where Docker's root is: %w", fault.ErrUnavailable)

// target is where a place is; w.mu is held.
func (w *Watch) target(p *place) (target, error) {
	switch {
	case p.registry:
		return registryTarget{}, nil
	case w.root == "":
		return nil, errNoRoot
	}
	return folderOf(w.root), nil
}

// How long it takes until a place is looked at again: one that is as it should be
// for whether it still is, one that is not to be mended.
const (
	lookEvery  = 5 * time.Second
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
)

// refresh makes a place say what its source says, and admits a container that is
// about to read it, if there is one. The container's admission is the last step.
func (w *Watch) refresh(ctx context.Context, p *place, starting *hook.Facts, why string) error {
	for {
		c, err := w.current(ctx, p)
		if err != nil || starting == nil {
			return err
		}
		// Where what stands there is replaced in this moment, the container is
		// admitted to that.
		if _, err = w.agent.Join(ctx, *starting, p.shared(), c, why); !errors.Is(err, hook.ErrReplaced) || ctx.Err() != nil {
			return err
		}
	}
}

// current returns what stands in a place when it says what its source says. Those
// who come while the source is being asked are all served by the next question.
func (w *Watch) current(ctx context.Context, p *place) (hook.Copy, error) {
	came := time.Now()
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return hook.Copy{}, fmt.Errorf("%s is being written: %w: %w", p.name(), fault.ErrUnavailable, ctx.Err())
	}
	defer func() { <-p.turn }()
	if p.renewed.After(came) {
		return p.copy, nil
	}
	begun := time.Now()
	c, err := w.renew(ctx, p)
	w.note(p, err)
	if err == nil {
		p.copy, p.renewed = c, begun
	}
	return c, err
}

// note notes what became of a place, and says it once.
func (w *Watch) note(p *place, err error) {
	if err != nil {
		p.failed++
	} else {
		p.failed = 0
	}
	w.mu.Lock()
	used := w.used(p)
	w.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := lookEvery
	switch {
	case errors.Is(err, errNoRoot):
		wait = 0 // it is looked for all the time
	case err != nil:
		wait = min(firstRetry<<min(p.failed-1, 8), lastRetry)
	case used:
		wait = p.spec.Refresh
	}
	p.next = time.Now().Add(wait)
	before := p.err
	p.err = err
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		w.log.Warn("a credential spec for Docker is not as its source has it; trying again", "place", p.name(), "path", p.at, "error", err)
	case err == nil && before != nil:
		w.log.Info("a credential spec for Docker is as its source has it again", "place", p.name(), "path", p.at)
	}
}

// renew makes the place hold a copy of what its source says now. The turn is held.
func (w *Watch) renew(ctx context.Context, p *place) (hook.Copy, error) {
	w.mu.Lock()
	t, err := w.target(p)
	w.mu.Unlock()
	if err != nil {
		return hook.Copy{}, err
	}
	at := t.path(p.file)
	p.mu.Lock()
	if p.at != at {
		p.at, p.since = at, time.Time{}
		p.pending = hook.Copy{}
	}
	p.mu.Unlock()
	there, made, err := w.standing(t, p.file)
	p.mu.Lock()
	p.kept = err == nil && there != nil
	p.mu.Unlock()
	if err != nil {
		return hook.Copy{}, err
	}
	last := p.pending
	if last.Document == nil {
		last = hook.Copy{Document: there, Made: made}
	}
	c, err := w.agent.Share(ctx, p.shared(), last)
	if err != nil {
		return hook.Copy{}, err
	}
	if there != nil && bytes.Equal(c.Document, there) {
		p.pending = hook.Copy{}
		return c, nil
	}
	p.pending = c
	if err := w.put(ctx, t, p, c); err != nil {
		return hook.Copy{}, err
	}
	p.pending = hook.Copy{}
	p.mu.Lock()
	p.kept, p.since = true, time.Now().UTC()
	p.mu.Unlock()
	w.log.Info("a credential spec for Docker was written", "place", p.name(), "path", at)
	return c, nil
}

// standing reads what stands in a place: nil if nothing does. What is not the
// agent's is an error.
func (w *Watch) standing(t target, name string) (document []byte, made string, err error) {
	document, err = t.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", nil
	case err != nil:
		return nil, "", fmt.Errorf("what stands in Docker's place cannot be read: %w", err)
	}
	made, ours := w.record.own(t.path(name), document)
	if !ours {
		return nil, "", fmt.Errorf("%s is not the agent's: somebody else put it there or changed it, and it is left alone; move it away, or give the credential spec another name: %w", t.path(name), fault.ErrDenied)
	}
	return document, made, nil
}

// put writes a copy. Containers that use the place are admitted to it just before:
// Docker may start one of them again by itself and read it. One that is refused is
// on record, and will find no grant there if it is.
func (w *Watch) put(ctx context.Context, t target, p *place, c hook.Copy) error {
	at := t.path(p.file)
	if err := w.record.claim(at, claims{Registry: p.registry, Name: p.file, Claims: []claim{{digestOf(c.Document), c.Made}}}); err != nil {
		return err
	}
	err := t.write(p.file, c.Document, func() error {
		for _, f := range w.using(p) {
			if _, err := w.agent.Join(ctx, f, p.shared(), c, "its credential spec has changed at the source"); err != nil {
				w.log.Warn("a container that runs may not have what its credential spec says now", "container", f.Key, "place", p.name(), "error", err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the credential spec cannot be written for Docker: %w", err)
	}
	if err := w.record.written(at); err != nil {
		w.log.Warn("an earlier credential spec counts as the agent's still", "path", at, "error", err)
	}
	return nil
}

// using are the containers that were admitted to a place.
func (w *Watch) using(p *place) (facts []hook.Facts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.members {
		if m.place == p && m.joined {
			facts = append(facts, m.facts)
		}
	}
	return facts
}

// used says whether a container uses a place, or is about to. w.mu is held.
func (w *Watch) used(p *place) bool {
	for _, m := range w.members {
		if m.place == p {
			return true
		}
	}
	return false
}

// keep looks after the places until ctx ends.
func (w *Watch) keep(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var busy sync.WaitGroup
	defer busy.Wait()
	for n := 0; ; n++ {
		if n%10 == 0 {
			w.findRoot()
			w.clear()
			w.expire(ctx)
		}
		w.mu.Lock()
		places := slices.Collect(maps.Values(w.places))
		w.mu.Unlock()
		for _, p := range places {
			if p.due(time.Now()) {
				busy.Go(func() { w.look(ctx, p) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// due says whether a place is to be looked at, and has it count as done for now.
func (p *place) due(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.next) || len(p.turn) > 0 {
		return false
	}
	p.next = now.Add(lookEvery)
	return true
}

// lookTimeout bounds a look at one place; sources have bounds of their own.
const lookTimeout = time.Minute

// look refreshes a place. Its source is asked where containers use it, where it is
// not there, or where something went wrong; a place that nobody uses and that is
// there is left as it is, until the next container is about to read it.
func (w *Watch) look(ctx context.Context, p *place) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	w.mu.Lock()
	used := w.used(p)
	t, err := w.target(p)
	w.mu.Unlock()
	p.mu.Lock()
	healthy, fresh := p.err == nil, p.at != "" && err == nil && p.at == t.path(p.file)
	p.mu.Unlock()
	if !used && healthy && fresh {
		if there, _, err := w.standing(t, p.file); err == nil && there != nil {
			return
		}
	}
	_ = w.refresh(ctx, p, nil, "") // is in the status
}

// clear removes what is no longer configured.
func (w *Watch) clear() {
	for at, c := range w.record.all() {
		w.mu.Lock()
		kept := false
		for _, p := range w.places {
			if t, err := w.target(p); err != nil || t.path(p.file) == at {
				kept = true // or is not known yet
			}
		}
		unknown := w.root == ""
		w.mu.Unlock()
		if kept || unknown {
			continue
		}
		var t target = registryTarget{}
		if !c.Registry {
			t = folder(filepath.Dir(at))
		}
		_, _, err := w.standing(t, c.Name)
		if err == nil {
			if err = t.remove(c.Name); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		switch {
		case err == nil:
			w.log.Info("a credential spec that is no longer configured was removed", "path", at)
		case errors.Is(err, fault.ErrDenied):
			w.log.Warn("a credential spec that is no longer configured is left where it is", "path", at, "error", err)
		default:
			if w.complainOnce(at, err) {
				w.log.Warn("a credential spec that is no longer configured cannot be removed; trying again", "path", at, "error", err)
			}
			continue
		}
		if err := w.record.forget(at); err != nil && w.complainOnce(at, err) {
			w.log.Warn("a credential spec that is no longer configured is not forgotten yet", "path", at, "error", err)
		}
	}
}
