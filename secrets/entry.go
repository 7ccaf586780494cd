package secrets

import (
	"container/list"
	"time"
)

// entry is a credential that a [Cache] keeps. Cache.mu guards it, as it does
// all that the functions in this file touch.
type entry struct {
	key     string
	ref     Ref
	cred    *Credential
	used    time.Time // when it was given out last
	refresh time.Time // when it is to be fetched again; zero: not before somebody misses it
}

// since is how long t is ago, by the clock by which it is longer: the monotonic
// one may stand still while a machine sleeps, the wall clock may be set back.
func since(t time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// left is for how long the entry may still be given out, while its store can be
// asked or, if stale, while it cannot.
func (c *Cache) left(e *entry, stale bool) time.Duration {
	times := c.times(e.ref.Scheme)
	limit := times.TTL
	if stale {
		limit += times.Stale
	}
	left := limit - since(e.cred.Asked)
	if !e.cred.Expires.IsZero() {
		left = min(left, time.Until(e.cred.Expires))
	}
	return left
}

// fresh returns a clone of an entry that is not too old, or nil.
func (c *Cache) fresh(key string) *Credential {
	el, ok := c.entries[key]
	if !ok {
		return nil
	}
	e := el.Value.(*entry)
	if c.left(e, false) <= 0 {
		return nil
	}
	c.use(el)
	if c.due(e) {
		c.refresh(e) // it was not worth it while nobody used it
	}
	return e.cred.Clone()
}

func (c *Cache) use(el *list.Element) {
	el.Value.(*entry).used = time.Now()
	c.used.MoveToFront(el)
}

// keep puts a credential, which the cache owns from now on, into the table.
// used is when it was given out last.
func (c *Cache) keep(key string, ref Ref, cred *Credential, used time.Time) {
	e := &entry{key: key, ref: ref, cred: cred, used: used}
	if el, ok := c.entries[key]; ok {
		if last := el.Value.(*entry).used; last.After(used) {
			e.used = last
		}
		c.drop(el)
	}
	if c.closed || c.left(e, true) <= 0 {
		cred.Wipe()
		return
	}
	for len(c.entries) >= c.size {
		c.drop(c.used.Back())
		c.evictions++
	}
	c.plan(e)
	c.entries[key] = c.used.PushFront(e)
}

// drop removes an entry and wipes its password.
func (c *Cache) drop(el *list.Element) {
	e := c.used.Remove(el).(*entry)
	delete(c.entries, e.key)
	e.cred.Wipe()
}

// discard drops the entry that has the version.
func (c *Cache) discard(key, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.entries[key]; ok && el.Value.(*entry).cred.Version == version {
		c.drop(el)
	}
}

// tick does what is due: it drops what is too old and fetches again what soon
// will be.
func (c *Cache) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	for _, el := range c.entries {
		if e := el.Value.(*entry); c.left(e, true) <= 0 {
			c.drop(el)
		} else if c.due(e) {
			c.refresh(e)
		}
	}
	c.schedule()
}

// schedule has tick run when something will be due.
func (c *Cache) schedule() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if c.closed || len(c.entries) == 0 {
		return
	}
	next := time.Duration(1<<63 - 1)
	for _, el := range c.entries {
		e := el.Value.(*entry)
		next = min(next, c.left(e, true))
		if wait := time.Until(e.refresh); !e.refresh.IsZero() && (wait > 0 || c.wanted(e)) {
			next = min(next, wait)
		}
	}
	// The two clocks of since may differ by a little.
	c.timer = time.AfterFunc(max(next, time.Millisecond), c.tick)
}
