package secrets

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// What a Cache does unless an option says otherwise.
const (
	// DefaultTTL bounds for how long a password that was changed in a store
	// that can't say so is still given out.
	DefaultTTL = 5 * time.Minute
	// DefaultSize is in credentials. A host seldom serves more than a few
	// domains; an entry takes about 1 KiB, and the pages that are locked for its
	// password.
	DefaultSize = 256
	// DefaultFetchTimeout is below the time that a container's start may take.
	DefaultFetchTimeout = 30 * time.Second
)

// Times are for how long a [Cache] uses what it fetched from a store.
type Times struct {
	// TTL is for how long a credential is given out after it was fetched. With
	// zero every fetch asks the store.
	TTL time.Duration
	// Stale is for how long beyond its TTL a credential is given out while its
	// store is unavailable. A store that answers, be it with a refusal, ends it.
	Stale time.Duration
}

// Of is t whatever the scheme, for [WithTimes] where all stores are alike.
func (t Times) Of(string) Times { return t }

// Option changes what a [Cache] does.
type Option func(*Cache)

// WithTimes sets the times of each scheme's store. Unless it is given they are
// DefaultTTL, and never stale.
func WithTimes(of func(scheme string) Times) Option { return func(c *Cache) { c.times = of } }

// WithSize sets how many credentials are kept at most; the one that was not
// used for longest goes first.
func WithSize(n int) Option { return func(c *Cache) { c.size = max(n, 1) } }

// WithFetchTimeout bounds one fetch from the store.
func WithFetchTimeout(d time.Duration) Option { return func(c *Cache) { c.timeout = d } }

// Cache is a Store in front of another one. It keeps what was fetched for a
// while and fetches one reference once, however many ask for it at the same
// time: a caller whose context ends leaves the others waiting undisturbed.
//
// A credential that is in use is fetched again before its time is over, so that
// nobody has to wait for it. If that fails it is used until its time is over.
//
// Each caller gets a clone of his own. What the cache keeps is overwritten as
// soon as it is evicted, replaced, forgotten or too old, whether or not anybody
// asks for it again. If the store is a [Verifier], nothing is given out that
// the store has replaced or removed before Fetch was called. A store's refusal
// is not kept and ends the use of what it gave before. That it is unavailable
// is: see [Pause].
type Cache struct {
	timeout time.Duration
	size    int

	mu         sync.Mutex
	closed     bool
	store      Store
	verifier   Verifier // nil if the store is none
	times      func(scheme string) Times
	entries    map[string]*list.Element // of *entry, by canonical reference
	used       list.List                // most recently used first
	flights    map[string]*flight
	failures   map[string]failure
	refreshing int         // refreshes under way
	timer      *time.Timer // runs tick
	evictions  uint64
	stores     map[string]*StoreStats // but for Entries
}

// NewCache returns a Cache in front of store. Close it when it is done with.
func NewCache(store Store, opts ...Option) *Cache {
	c := &Cache{
		store:    store,
		times:    Times{TTL: DefaultTTL}.Of,
		timeout:  DefaultFetchTimeout,
		size:     DefaultSize,
		entries:  map[string]*list.Element{},
		flights:  map[string]*flight{},
		failures: map[string]failure{},
		stores:   map[string]*StoreStats{},
	}
	c.verifier, _ = store.(Verifier)
	for _, o := range opts {
		o(c)
	}
	return c
}

// Fetch returns the credential from the cache or from the store. Errors are
// the store's.
func (c *Cache) Fetch(ctx context.Context, ref Ref) (*Credential, error) {
	if err := ctx.Err(); err != nil {
		return nil, interrupted(ref, ctx)
	}
	key := ref.String()
	if cred := c.lookup(ctx, key, ref); cred != nil {
		return cred, nil
	}
	c.count(ref, func(s *StoreStats) { s.Misses++ })
	cred, joined, err := c.fetch(ctx, key, ref)
	if err == nil && joined && cred.Stale == nil && !c.current(ctx, ref, cred.Version) {
		// The flight took off before this call, and landed with what was
		// replaced in between. Any flight under way now took off after that.
		c.discard(key, cred.Version)
		cred.Wipe()
		cred, _, err = c.fetch(ctx, key, ref)
	}
	return cred, err
}

// lookup returns a clone of what is cached, or nil.
func (c *Cache) lookup(ctx context.Context, key string, ref Ref) *Credential {
	c.mu.Lock()
	cred := c.fresh(key)
	c.mu.Unlock()
	if cred == nil {
		return nil
	}
	// Not under the lock: the store's disk may be slow.
	if c.current(ctx, ref, cred.Version) {
		c.count(ref, func(s *StoreStats) { s.Hits++ })
		return cred
	}
	c.discard(key, cred.Version)
	cred.Wipe()
	return nil
}

// current asks the store, if it can tell.
func (c *Cache) current(ctx context.Context, ref Ref, version string) bool {
	c.mu.Lock()
	v := c.verifier
	c.mu.Unlock()
	return v == nil || v.Current(ctx, ref, version)
}

// fetch waits for the flight that is under way, or starts one, and returns a
// clone of what it brings. While the store cannot be asked that is what it gave
// last, as long as that may be used. joined says that the flight was under way
// before, or has landed since the caller found nothing.
func (c *Cache) fetch(ctx context.Context, key string, ref Ref) (cred *Credential, joined bool, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, false, unavailable(ref, "the cache is closed")
	}
	f, joined := c.flights[key]
	if joined {
		c.of(ref).Joined++
	} else if cred := c.fresh(key); cred != nil {
		c.of(ref).Joined++
		c.mu.Unlock()
		return cred, true, nil
	} else if down, err := c.failed(key); down {
		c.mu.Unlock()
		cred, err := c.instead(ctx, key, ref, err)
		return cred, false, err
	} else if len(c.flights) >= maxFlights {
		c.mu.Unlock()
		cred, err := c.instead(ctx, key, ref, unavailable(ref, fmt.Sprintf("%d fetches from stores are under way", maxFlights)))
		return cred, false, err
	} else {
		f = c.launch(ctx, key, ref)
	}
	f.waiters++
	patience := c.patience(key, f)
	c.mu.Unlock()
	defer patience.stop()
	defer c.leave(f, key)

	select {
	case <-f.done:
	case <-patience.over:
		if cred := c.overdue(ctx, key, ref, unavailable(ref, fmt.Sprintf("the store has not answered within %v", Patience))); cred != nil {
			c.adopt(f) // its answer is for the next one
			return cred, joined, nil
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, joined, c.interrupt(ref, ctx, f)
		}
	case <-ctx.Done():
		return nil, joined, c.interrupt(ref, ctx, f)
	}
	if f.err != nil {
		cred, err := c.instead(ctx, key, ref, f.err)
		return cred, joined, err
	}
	return f.cred.Clone(), joined, nil
}

// interrupt is the error of a caller whose context ended before the flight. If
// it was its time that was over, the flight goes on: the next one may find what
// it brings, or that the store does not answer.
func (c *Cache) interrupt(ref Ref, ctx context.Context, f *flight) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.adopt(f)
	}
	return interrupted(ref, ctx)
}

// Held returns the version of what is cached for the reference, and whether
// anything is.
func (c *Cache) Held(ref Ref) (version string, held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, held := c.entries[ref.String()]
	if held {
		version = el.Value.(*entry).cred.Version
	}
	return version, held
}

// Forget drops what is cached for the reference, after a password was found to
// be wrong for instance; the next fetch asks the store, though it was not
// available a moment ago. A fetch that is under way serves those who already
// wait for it, and nobody else.
func (c *Cache) Forget(ref Ref) {
	key := ref.String()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(key)
}

func (c *Cache) forget(key string) {
	if f, ok := c.flights[key]; ok {
		c.detach(f, key)
	}
	delete(c.failures, key)
	if el, ok := c.entries[key]; ok {
		c.drop(el)
	}
}

// Replace puts another store and other times behind the cache. What was fetched
// from the stores of the schemes that are unchanged is kept, the rest is
// forgotten.
func (c *Cache) Replace(store Store, times func(scheme string) Times, unchanged func(scheme string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store, c.times = store, times
	c.verifier, _ = store.(Verifier)
	for key, f := range c.flights {
		if !unchanged(f.ref.Scheme) {
			c.forget(key)
		}
	}
	for key, f := range c.failures {
		if !unchanged(f.scheme) {
			delete(c.failures, key)
		}
	}
	for key, el := range c.entries {
		e := el.Value.(*entry)
		if !unchanged(e.ref.Scheme) {
			c.forget(key)
			continue
		}
		c.plan(e)
	}
	c.schedule()
}

// Close overwrites everything, ends the refreshes and makes later fetches fail.
// Fetches that are under way still serve those who wait for them.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	for key, f := range c.flights {
		c.detach(f, key)
	}
	for _, el := range c.entries {
		c.drop(el)
	}
	clear(c.failures)
	return nil
}

// interrupted is the error of a caller whose context ended.
func interrupted(ref Ref, ctx context.Context) error {
	return &Error{"fetch", ref, fmt.Errorf("%w: %w", fault.ErrUnavailable, context.Cause(ctx))}
}

func unavailable(ref Ref, why string) error {
	return &Error{"fetch", ref, fmt.Errorf("%w: %s", fault.ErrUnavailable, why)}
}
