package secrets

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// maxFlights bounds the fetches that are under way at the same time, whatever
// references containers bring along.
const maxFlights = 256

// flight is one fetch that is under way. Cache.mu guards waiters and adopted.
type flight struct {
	ref     Ref
	at      time.Time // when it took off
	cancel  context.CancelFunc
	waiters int           // who is the last to leave wipes cred
	adopted bool          // the cache wants what it brings, whether or not anybody waits
	refresh bool          // it counts in Cache.refreshing
	done    chan struct{} // closed when cred or err is set
	cred    *Credential   // nil if nobody waited
	err     error
}

// launch starts a flight. It belongs to all who wait for it: it has the values
// of the first one's context, but not its end. Cache.mu is held.
func (c *Cache) launch(ctx context.Context, key string, ref Ref) *flight {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	f := &flight{ref: ref, at: time.Now(), cancel: cancel, done: make(chan struct{})}
	c.flights[key] = f
	go c.fly(ctx, f, key, c.store)
	return f
}

func (c *Cache) fly(ctx context.Context, f *flight, key string, store Store) {
	defer f.cancel()
	cred, err := ask(ctx, store, f.ref)
	if err == nil {
		cred.Asked, cred.Stale = f.at, nil
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	defer c.schedule()
	if f.refresh {
		c.refreshing--
	}
	// A flight that is not in the table any more was forgotten or overtaken:
	// its waiters get what it brings, nobody else does.
	listed := c.flights[key] == f
	if listed {
		delete(c.flights, key)
	}
	if f.waiters == 0 && !f.adopted {
		// It was cancelled by the cache itself, which tells nothing of the store.
		c.of(f.ref).Fetches++
		cred.Wipe()
		return
	}
	c.record(f, err)
	if err != nil {
		f.err = err
		if listed {
			c.land(key, f.ref, err)
		}
		return
	}
	if listed {
		delete(c.failures, key)
		var used time.Time // by nobody yet
		if f.waiters > 0 {
			used = time.Now()
		}
		c.keep(key, f.ref, cred.Clone(), used)
	}
	if f.waiters == 0 {
		cred.Wipe()
		return
	}
	f.cred = cred
}

// land notes that a fetch has failed. Cache.mu is held.
func (c *Cache) land(key string, ref Ref, err error) {
	el, kept := c.entries[key]
	if !errors.Is(err, fault.ErrUnavailable) {
		// A store that answered so has no longer what is cached.
		delete(c.failures, key)
		if kept {
			c.drop(el)
		}
		return
	}
	pause := c.fail(key, ref, err)
	if kept {
		c.postpone(el.Value.(*entry), pause)
	}
}

// ask calls the store. A panic of a store's SDK must not end the agent; what
// it says is not repeated, for it may quote what was fetched.
func ask(ctx context.Context, store Store, ref Ref) (cred *Credential, err error) {
	defer func() {
		if r := recover(); r != nil {
			cred, err = nil, unavailable(ref, fmt.Sprintf("the store failed with a panic of type %T", r))
		}
	}()
	cred, err = store.Fetch(ctx, ref)
	if err != nil {
		cred.Wipe()
		return nil, err
	}
	if cred == nil {
		return nil, unavailable(ref, "the store answered nothing")
	}
	return cred, nil
}

// leave is called once by everyone who waited.
func (c *Cache) leave(f *flight, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters > 0 {
		return
	}
	select {
	case <-f.done:
		f.cred.Wipe()
		return
	default: // fly wipes it
	}
	if !f.adopted {
		c.detach(f, key) // nobody may join what is cancelled
	}
}

// adopt has a flight go on when nobody waits for it any more.
func (c *Cache) adopt(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.adopted = !c.closed
}

// detach takes a flight out of the table. It goes on for those who wait for
// it, if anybody does. Cache.mu is held.
func (c *Cache) detach(f *flight, key string) {
	if c.flights[key] == f {
		delete(c.flights, key)
	}
	f.adopted = false
	if f.waiters == 0 {
		f.cancel()
	}
}
