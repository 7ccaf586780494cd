package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// front is a source with the cache in front of it.
type front struct {
	cache   *Cache
	source  credspec.Source
	limits  Limits
	number  int
	flights map[string]*flight // by name; Cache.mu guards it
}

// flight is one request that is under way, for all who want its answer. It has
// the values of the first one's context, but not its end: what it learns serves
// the next one, be it that the source is down.
type flight struct {
	done chan struct{} // closed when the rest is set
	at   time.Time     // when it took off: what it brings was confirmed no earlier
	held *held
	err  error
}

// Resolve implements credspec.Source. Besides the source's errors, whose kind
// it keeps, it returns fault.ErrUnavailable where the source does not answer
// and no document may be used instead.
func (f *front) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	if err := ctx.Err(); err != nil {
		return credspec.Document{}, err
	}
	if a, ok := f.source.(credspec.Admitter); ok {
		if err := a.Admit(ref); err != nil {
			return credspec.Document{}, err
		}
	}
	name := nameOf(ref)
	f.cache.recall(name)
	doc, joined, err := f.resolve(ctx, name, ref)
	if err == nil && joined && (mismatch(ref, doc.Digest) || credspec.MustRevalidate(ctx)) {
		// The flight took off before this call: the document may have been
		// replaced by the one that is asked for in between. Any flight under
		// way now took off after that.
		doc, _, err = f.resolve(ctx, name, ref)
	}
	return doc, err
}

func mismatch(ref credspec.Ref, digest string) bool {
	return ref.SHA256 != "" && ref.SHA256 != digest
}

// resolve answers from the cache, or with what the flight brings that is under
// way, which the caller has joined, or that it starts.
func (f *front) resolve(ctx context.Context, name string, ref credspec.Ref) (doc credspec.Document, joined bool, err error) {
	c := f.cache
	c.mu.Lock()
	if doc, ok := f.unasked(name, ref, credspec.MustRevalidate(ctx)); ok {
		c.stats.Hits++
		c.mu.Unlock()
		return doc, false, nil
	}
	c.stats.Misses++
	fl, joined := f.flights[name]
	if !joined {
		if len(f.flights) >= maxFlights {
			c.mu.Unlock()
			doc, err = f.instead(name, ref, fmt.Errorf("%d requests to sources of %s:// are under way: %w", maxFlights, ref.Scheme, fault.ErrUnavailable))
			return doc, false, err
		}
		fl = &flight{done: make(chan struct{})}
		f.flights[name] = fl
		var known *held
		if e := c.entries[name]; e != nil {
			known = e.held
		}
		go f.fly(context.WithoutCancel(ctx), fl, name, ref, known)
	}
	c.mu.Unlock()

	select {
	case <-fl.done:
	case <-ctx.Done():
		return credspec.Document{}, joined, fmt.Errorf("the source has not answered yet: %w: %w", fault.ErrUnavailable, ctx.Err())
	}
	switch {
	case fl.err == nil:
		return fl.held.document(ref, fl.at, nil), joined, nil
	case errors.Is(fl.err, fault.ErrUnavailable):
		doc, err = f.instead(name, ref, fl.err)
		return doc, joined, err
	}
	return credspec.Document{}, joined, fl.err
}

// unasked is the cached document, if it can be used without asking its source:
// it is fresh and that is enough, or the one that the reference is pinned to, or
// the source was down a moment ago. Cache.mu is held.
func (f *front) unasked(name string, ref credspec.Ref, revalidate bool) (credspec.Document, bool) {
	e := f.cache.entries[name]
	if e == nil || e.held == nil || mismatch(ref, e.held.digest) {
		return credspec.Document{}, false
	}
	now := time.Now()
	old := age(now, e.confirmed)
	var stale error
	switch {
	case ref.SHA256 != "":
	case !revalidate && e.confirmedTo == f.number && old < f.limits.Fresh:
	case e.failure != nil && e.failedTo == f.number && age(now, e.failed) < Pause && f.allows(old):
		stale = e.failure
		f.cache.stats.Stale++
	default:
		return credspec.Document{}, false
	}
	f.cache.used.MoveToFront(e.element)
	return e.held.document(ref, e.confirmed, stale), true
}

// allows says whether a document of that age may be used while its source is
// down.
func (f *front) allows(old time.Duration) bool { return f.limits.Stale > 0 && old <= f.limits.Stale }

// instead is the cached document for a source that cannot be asked, and else
// the reason with what is lacking.
func (f *front) instead(name string, ref credspec.Ref, why error) (credspec.Document, error) {
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[name]
	switch {
	case e == nil || e.held == nil:
		return credspec.Document{}, fmt.Errorf("%w; no document of it is cached", why)
	case mismatch(ref, e.held.digest):
		return credspec.Document{}, fmt.Errorf("%w; the cached document is not the one that the reference is pinned to", why)
	}
	if e.confirmed.IsZero() {
		return credspec.Document{}, fmt.Errorf("%w; by this host's clock the cached document was confirmed in the future", why)
	}
	if old := age(time.Now(), e.confirmed); !f.allows(old) {
		return credspec.Document{}, fmt.Errorf("%w; the cached document was confirmed %v ago, and may be used for %v", why, old.Round(time.Second), f.limits.Stale)
	}
	c.used.MoveToFront(e.element)
	c.stats.Stale++
	return e.held.document(ref, e.confirmed, why), nil
}

// fly asks the source and lands with its answer.
func (f *front) fly(ctx context.Context, fl *flight, name string, ref credspec.Ref, known *held) {
	c := f.cache
	ref.SHA256 = "" // the answer is for other pins, too
	fl.at = time.Now()
	doc, err := f.ask(ctx, ref, known)
	var good bool
	switch {
	case err == nil:
		fl.held = hold(ref, doc)
		good = fl.held.good()
	case errors.Is(err, credspec.ErrUnchanged):
		fl.held, good, err = known, true, nil
	}
	fl.err = err

	c.mu.Lock()
	delete(f.flights, name)
	c.stats.count(ref.Scheme, err)
	save := f.land(fl, name, good)
	close(fl.done)
	c.mu.Unlock()
	if save {
		c.save()
	}
}

// ask calls the source. A panic in an SDK must not end the agent; what it says
// is not repeated, for it may quote what was fetched.
func (f *front) ask(ctx context.Context, ref credspec.Ref, known *held) (doc credspec.Document, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = credspec.Document{}, fmt.Errorf("the source of %s:// failed with a panic of type %T: %w", ref.Scheme, r, fault.ErrUnavailable)
		}
	}()
	if r, ok := f.source.(credspec.Revalidator); ok && known != nil && known.tag != "" {
		return r.Revalidate(ctx, ref, known.tag)
	}
	doc, err = f.source.Resolve(ctx, ref)
	if errors.Is(err, credspec.ErrUnchanged) {
		err = fmt.Errorf("the source of %s:// compares with a document that it was not told of: %w", ref.Scheme, fault.ErrUnavailable)
	}
	return doc, err
}

// land makes the table say what the source said, and answers whether the
// folder is to be brought up to date. Cache.mu is held.
func (f *front) land(fl *flight, name string, good bool) (save bool) {
	c := f.cache
	e := c.entries[name]
	if e != nil && e.confirmedTo > f.number {
		return false // configured anew since this took off: it speaks for the past
	}
	switch {
	case good:
		e = c.keep(name, fl.held, fl.at, f.number)
		if e.saved != e.held.digest || e.savedTag != e.held.tag || fl.at.Sub(e.savedConfirmed) >= f.saveEvery() {
			e.dirty = true
		}
		return e.dirty || len(c.gone) > 0
	case errors.Is(fl.err, fault.ErrUnavailable):
		if e != nil {
			e.failure, e.failed, e.failedTo = fl.err, time.Now(), f.number
		}
	case fl.err == nil || errors.Is(fl.err, fault.ErrNotFound) || errors.Is(fl.err, fault.ErrDenied) || errors.Is(fl.err, fault.ErrMalformed):
		// The source has another document, or none for us, whatever is wrong
		// with it. Were the old one kept, a container that is refused now would
		// start as soon as somebody cuts the source off.
		if e != nil {
			c.drop(e)
			return true
		}
		c.remember(name)
	}
	return false
}

// saveEvery is how far the time on disk may lag behind the one in memory: the
// age that a restarted agent sees is too high by that at most. An hour of
// containers that come and go is six writes, or sixty where the age matters
// sooner.
func (f *front) saveEvery() time.Duration {
	return max(time.Minute, min(10*time.Minute, f.limits.Stale/10))
}
