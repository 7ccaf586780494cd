package secrets

import (
	"context"
	"errors"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

const (
	// Pause is for how long a store that was unavailable for a reference is not
	// asked for it again: of two hundred containers that start one after the
	// other, each would keep it busy. Whoever comes within it gets the same
	// answer.
	Pause = time.Second
	// MaxPause bounds the pause that a store asks for. It is below the time
	// after which people try again by hand.
	MaxPause = 30 * time.Second
	// Patience is for how long a store may keep somebody waiting who could have
	// what it gave before. CCG waits, and what it asks for next takes time too.
	Patience = 2 * time.Second
)

// Throttle is an error of a store that says when it wants to be asked again,
// as HTTP's Retry-After does. A [Cache] looks for it among those that a fetch's
// error wraps.
type Throttle interface {
	error
	// RetryAfter is the time to wait; not positive if the store did not say.
	RetryAfter() time.Duration
}

// failure is that a store could not be asked for a reference.
type failure struct {
	scheme string
	err    error
	until  time.Time // when it may be asked again
}

// fail remembers a failure, and returns for how long. Cache.mu is held.
func (c *Cache) fail(key string, ref Ref, err error) time.Duration {
	pause := Pause
	if t, ok := errors.AsType[Throttle](err); ok {
		pause = min(max(pause, t.RetryAfter()), MaxPause)
	}
	for k, f := range c.failures {
		if time.Until(f.until) <= 0 {
			delete(c.failures, k)
		}
	}
	if len(c.failures) < c.size {
		c.failures[key] = failure{ref.Scheme, err, time.Now().Add(pause)}
	}
	return pause
}

// failed returns the failure that is not long ago, if there is one. Cache.mu is
// held.
func (c *Cache) failed(key string) (bool, error) {
	f, ok := c.failures[key]
	if !ok || time.Until(f.until) <= 0 {
		return false, nil
	}
	return true, f.err
}

// instead returns what may be given out although a fetch failed, or err. Only a
// store that is unavailable has that done for it.
func (c *Cache) instead(ctx context.Context, key string, ref Ref, err error) (*Credential, error) {
	if errors.Is(err, fault.ErrUnavailable) {
		if cred := c.overdue(ctx, key, ref, err); cred != nil {
			return cred, nil
		}
	}
	return nil, err
}

// overdue returns a clone of what is cached, with the reason why it is given
// out, if it may be while the store is unavailable; else nil.
func (c *Cache) overdue(ctx context.Context, key string, ref Ref, why error) *Credential {
	c.mu.Lock()
	cred := c.fresh(key) // the flight may have landed just now
	if el, ok := c.entries[key]; ok && cred == nil && c.left(el.Value.(*entry), true) > 0 {
		c.use(el)
		cred = el.Value.(*entry).cred.Clone()
		cred.Stale = why
	}
	c.mu.Unlock()
	if cred == nil {
		return nil
	}
	if !c.current(ctx, ref, cred.Version) {
		cred.Wipe()
		return nil
	}
	if cred.Stale != nil {
		c.count(ref, func(s *StoreStats) { s.Stale++; s.LastStale = time.Now() })
	}
	return cred
}

// patience ends somebody's wait for a flight.
type patience struct {
	over <-chan time.Time // nil: there is nothing else to be had
	stop func() bool
}

// patience is that of who waits for the flight. Cache.mu is held.
func (c *Cache) patience(key string, f *flight) patience {
	el, ok := c.entries[key]
	if !ok || c.left(el.Value.(*entry), true) <= 0 {
		return patience{stop: func() bool { return false }}
	}
	t := time.NewTimer(Patience - since(f.at))
	return patience{t.C, t.Stop}
}
