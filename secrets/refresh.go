package secrets

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// maxRefreshes bounds how many refreshes are under way at the same time: a
	// container that starts needs the store more.
	maxRefreshes = 4
	// minRefreshed is the shortest life of a credential that is refreshed. Below
	// that the agent would ask the store all the time.
	minRefreshed = 10 * time.Second
)

// plan says when an entry is to be fetched again: when four fifths of its time
// are over, more or less, so that a fleet that was started at once does not ask
// at once. Cache.mu is held, here and below.
func (c *Cache) plan(e *entry) {
	e.refresh = time.Time{}
	if left := c.left(e, false); left >= minRefreshed {
		share := 0.75 + 0.1*rand.Float64()
		e.refresh = time.Now().Add(time.Duration(share * float64(left)))
	}
}

// postpone plans another refresh after one that failed, half-way to the end of
// the entry's time and not before the store may be asked again.
func (c *Cache) postpone(e *entry, pause time.Duration) {
	e.refresh = time.Time{}
	left := c.left(e, false)
	if wait := max(left/2, pause); wait >= time.Second && wait < left {
		e.refresh = time.Now().Add(wait)
	}
}

// wanted says whether an entry will be refreshed when its time comes: one that
// nobody has used for as long as it may be used will not.
func (c *Cache) wanted(e *entry) bool {
	return !e.refresh.IsZero() && c.flights[e.key] == nil && c.refreshing < maxRefreshes &&
		since(e.used) < c.times(e.ref.Scheme).TTL
}

func (c *Cache) due(e *entry) bool { return c.wanted(e) && time.Until(e.refresh) <= 0 }

// refresh fetches an entry again while it is used.
func (c *Cache) refresh(e *entry) {
	c.refreshing++
	f := c.launch(context.Background(), e.key, e.ref)
	f.refresh, f.adopted = true, true
}
