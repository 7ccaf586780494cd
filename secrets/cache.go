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
	// domains; an entry takes about 1 KiB.
	DefaultSize = 256
	// DefaultFetchTimeout is below the time that a container's start may take.
	DefaultFetchTimeout = 30 * time.Second
)

// Option changes what a [Cache] does.
type Option func(*Cache)

// WithTTL sets for how long a credential is given out after it was fetched.
func WithTTL(d time.Duration) Option { return func(c *Cache) { c.ttl = d } }

// WithSize sets how many credentials are kept at most; the one that was not
// used for longest goes first.
func WithSize(n int) Option { return func(c *Cache) { c.size = max(n, 1) } }

// WithStale lets a credential be given out for d beyond its TTL while the store
// is unavailable. It is off unless set. A store that answers, be it with a
// refusal, ends it.
func WithStale(d time.Duration) Option { return func(c *Cache) { c.stale = d } }

// WithFetchTimeout bounds one fetch from the store.
func WithFetchTimeout(d time.Duration) Option { return func(c *Cache) { c.timeout = d } }

// Cache is a Store in front of another one. It keeps what was fetched for a
// while and fetches one reference once, however many ask for it at the same
// time: a caller whose context ends leaves the others waiting undisturbed.
//
// Each caller gets a clone of its own. What the cache keeps is overwritten as
// soon as it is evicted, replaced, forgotten or too old, whether or not anybody
// asks for it again. Errors are not kept. If the store is a [Verifier], nothing
// is given out that the store has replaced or removed before Fetch was called.
type Cache struct {
	store    Store
	verifier Verifier // nil if the store is none
	ttl      time.Duration
	stale    time.Duration
	timeout  time.Duration
	size     int

	mu      sync.Mutex
	closed  bool
	entries map[string]*list.Element // of *entry, by canonical reference
	used    list.List                // most recently used first
	flights map[string]*flight
	sweeper *time.Timer
	stats   Stats // but for Entries
}

type entry struct {
	key     string
	cred    *Credential
	fetched time.Time
}

// flight is one fetch that is under way.
type flight struct {
	cancel  context.CancelFunc
	waiters int           // guarded by Cache.mu; who is the last to leave wipes cred
	done    chan struct{} // closed when cred and err are set
	cred    *Credential
	err     error
}

// NewCache returns a Cache in front of store. Close it when it is done with.
func NewCache(store Store, opts ...Option) *Cache {
	c := &Cache{
		store:   store,
		ttl:     DefaultTTL,
		timeout: DefaultFetchTimeout,
		size:    DefaultSize,
		entries: map[string]*list.Element{},
		flights: map[string]*flight{},
		stats:   Stats{Stores: map[string]StoreStats{}},
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
	c.mu.Lock()
	c.stats.Misses++
	c.mu.Unlock()
	cred, joined, err := c.fetch(ctx, key, ref)
	if err == nil && joined && !c.current(ctx, ref, cred.Version) {
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
		c.mu.Lock()
		c.stats.Hits++
		c.mu.Unlock()
		return cred
	}
	c.discard(key, cred.Version)
	cred.Wipe()
	return nil
}

// fresh returns a clone of an entry that is not too old, or nil. The lock is
// held.
func (c *Cache) fresh(key string) *Credential {
	el, ok := c.entries[key]
	if !ok {
		return nil
	}
	e := el.Value.(*entry)
	if time.Since(e.fetched) >= c.ttl {
		return nil
	}
	c.used.MoveToFront(el)
	return e.cred.Clone()
}

// discard drops the entry that has the version.
func (c *Cache) discard(key, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.entries[key]; ok && el.Value.(*entry).cred.Version == version {
		c.drop(el)
	}
}

func (c *Cache) current(ctx context.Context, ref Ref, version string) bool {
	return c.verifier == nil || c.verifier.Current(ctx, ref, version)
}

// fetch waits for the flight that is under way, or starts one, and returns a
// clone of what it brings. joined says that it was under way before, or has
// landed since the caller found nothing.
func (c *Cache) fetch(ctx context.Context, key string, ref Ref) (cred *Credential, joined bool, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, false, &Error{"fetch", ref, fmt.Errorf("%w: the cache is closed", fault.ErrUnavailable)}
	}
	f, joined := c.flights[key]
	if joined {
		c.stats.Joined++
	} else if cred := c.fresh(key); cred != nil {
		c.stats.Joined++
		c.mu.Unlock()
		return cred, true, nil
	} else {
		// The flight belongs to all who wait for it: it has the values of the
		// first one's context, but not its end.
		fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
		f = &flight{cancel: cancel, done: make(chan struct{})}
		c.flights[key] = f
		go c.fly(fctx, f, key, ref)
	}
	f.waiters++
	c.mu.Unlock()

	defer c.leave(f, key)
	select {
	case <-f.done:
		if f.err != nil {
			return nil, joined, f.err
		}
		return f.cred.Clone(), joined, nil
	case <-ctx.Done():
		return nil, joined, interrupted(ref, ctx)
	}
}

// leave is called once by everyone who waited.
func (c *Cache) leave(f *flight, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters > 0 {
		return
	}
	f.cancel()
	if c.flights[key] == f {
		delete(c.flights, key) // nobody may join what was just cancelled
	}
	select {
	case <-f.done:
		f.cred.Wipe()
	default: // fly wipes it
	}
}

func (c *Cache) fly(ctx context.Context, f *flight, key string, ref Ref) {
	cred, err := c.ask(ctx, ref)
	var old *Credential
	if errors.Is(err, fault.ErrUnavailable) {
		old = c.overdue(ctx, key, ref)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	abandoned := f.waiters == 0
	c.stats.record(ref.Scheme, err, abandoned)
	// A flight that is not in the table any more was forgotten or overtaken:
	// its waiters get what it brings, nobody else does.
	listed := c.flights[key] == f
	if listed {
		delete(c.flights, key)
	}
	switch {
	case abandoned:
		cred.Wipe()
		old.Wipe()
	case err == nil:
		f.cred = cred
		if listed && c.ttl > 0 {
			c.keep(key, cred.Clone())
		}
	case old != nil:
		f.cred = old
		c.stats.Stale++
	default:
		f.err = err
		// A store that answered so has no longer what is cached.
		if el, ok := c.entries[key]; ok && listed && !errors.Is(err, fault.ErrUnavailable) {
			c.drop(el)
		}
	}
}

// ask calls the store. A panic of a store's SDK must not end the agent; what
// it says is not repeated, for it may quote what was fetched.
func (c *Cache) ask(ctx context.Context, ref Ref) (cred *Credential, err error) {
	defer func() {
		if r := recover(); r != nil {
			cred, err = nil, &Error{"fetch", ref, fmt.Errorf("%w: the store failed with a panic of type %T", fault.ErrUnavailable, r)}
		}
	}()
	cred, err = c.store.Fetch(ctx, ref)
	if err == nil && cred == nil {
		err = &Error{"fetch", ref, fmt.Errorf("%w: the store answered nothing", fault.ErrUnavailable)}
	}
	return cred, err
}

// overdue returns a clone of an entry that is too old, if it may be served
// while the store is unavailable, or nil.
func (c *Cache) overdue(ctx context.Context, key string, ref Ref) *Credential {
	c.mu.Lock()
	var cred *Credential
	if el, ok := c.entries[key]; ok {
		if e := el.Value.(*entry); time.Since(e.fetched) < c.ttl+c.stale {
			cred = e.cred.Clone()
		}
	}
	c.mu.Unlock()
	if cred != nil && !c.current(ctx, ref, cred.Version) {
		cred.Wipe()
		return nil
	}
	return cred
}

// keep puts a credential, which the cache owns from now on, into the table.
func (c *Cache) keep(key string, cred *Credential) {
	if c.closed {
		cred.Wipe()
		return
	}
	if el, ok := c.entries[key]; ok {
		c.drop(el)
	}
	for len(c.entries) >= c.size {
		c.drop(c.used.Back())
		c.stats.Evictions++
	}
	c.entries[key] = c.used.PushFront(&entry{key, cred, time.Now()})
	if c.sweeper == nil {
		c.sweeper = time.AfterFunc(c.ttl+c.stale, c.sweep)
	}
}

// drop removes an entry and overwrites its password.
func (c *Cache) drop(el *list.Element) {
	e := c.used.Remove(el).(*entry)
	delete(c.entries, e.key)
	e.cred.Wipe()
}

// sweep drops what is too old and comes back when the next one will be.
func (c *Cache) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweeper = nil
	if c.closed {
		return
	}
	next := time.Duration(-1)
	for _, el := range c.entries {
		left := c.ttl + c.stale - time.Since(el.Value.(*entry).fetched)
		if left <= 0 {
			c.drop(el)
		} else if next < 0 || left < next {
			next = left
		}
	}
	if next > 0 {
		c.sweeper = time.AfterFunc(next, c.sweep)
	}
}

// Forget drops what is cached for the reference, after a password was found to
// be wrong for instance. A fetch that is under way serves those who already
// wait for it, and nobody else.
func (c *Cache) Forget(ref Ref) {
	key := ref.String()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, key)
	if el, ok := c.entries[key]; ok {
		c.drop(el)
	}
}

// Close overwrites everything and makes later fetches fail. Fetches that are
// under way still serve those who wait for them.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.sweeper != nil {
		c.sweeper.Stop()
	}
	clear(c.flights)
	for _, el := range c.entries {
		c.drop(el)
	}
	return nil
}

// interrupted is the error of a caller whose context ended.
func interrupted(ref Ref, ctx context.Context) error {
	return &Error{"fetch", ref, fmt.Errorf("%w: %w", fault.ErrUnavailable, context.Cause(ctx))}
}
