package secrets

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Stats are what a [Cache] has seen since it was made. Nothing in it is secret.
type Stats struct {
	Entries   int    // credentials held now
	Hits      uint64 // fetches answered from the cache
	Misses    uint64 // fetches that were not
	Evictions uint64 // credentials dropped to make room

	Stores map[string]StoreStats // by scheme
}

// StoreStats are what a [Cache] has seen of one scheme's store.
type StoreStats struct {
	Entries   int    // its credentials held now
	Hits      uint64 // fetches answered from the cache
	Misses    uint64 // fetches that were not
	Joined    uint64 // misses that waited for another one's fetch
	Stale     uint64 // misses answered with what the store gave before, as it was unavailable
	LastStale time.Time

	Fetches     uint64 // fetches from the store that ended
	Refreshes   uint64 // those that nobody had to wait for, because they were ahead of use
	Failures    uint64 // those that ended with an error
	LastSuccess time.Time
	LastFailure time.Time
	LastError   string // the last failure's error, cut to 512 bytes

	// What the fetches took that succeeded: the last one, all of them with the
	// latest weighing most, the longest.
	LastLatency, MeanLatency, MaxLatency time.Duration
}

// of is what was seen of the reference's store. Cache.mu is held.
func (c *Cache) of(ref Ref) *StoreStats {
	s := c.stores[ref.Scheme]
	if s == nil {
		s = &StoreStats{}
		c.stores[ref.Scheme] = s
	}
	return s
}

func (c *Cache) count(ref Ref, add func(*StoreStats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add(c.of(ref))
}

// record counts a fetch that has ended. Cache.mu is held.
func (c *Cache) record(f *flight, err error) {
	s := c.of(f.ref)
	s.Fetches++
	if f.refresh {
		s.Refreshes++
	}
	if err != nil {
		s.Failures++
		s.LastFailure = time.Now()
		s.LastError = cut(err.Error(), 512)
		return
	}
	s.LastSuccess = time.Now()
	s.LastLatency = s.LastSuccess.Sub(f.at)
	s.MaxLatency = max(s.MaxLatency, s.LastLatency)
	if s.MeanLatency == 0 {
		s.MeanLatency = s.LastLatency
	}
	s.MeanLatency += (s.LastLatency - s.MeanLatency) / 8
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimSpace(s[:n]) + "…"
}

// Stats returns the counts so far.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{Entries: len(c.entries), Evictions: c.evictions, Stores: map[string]StoreStats{}}
	for scheme, st := range c.stores {
		s.Hits += st.Hits
		s.Misses += st.Misses
		s.Stores[scheme] = *st
	}
	for _, el := range c.entries {
		scheme := el.Value.(*entry).ref.Scheme
		st := s.Stores[scheme]
		st.Entries++
		s.Stores[scheme] = st
	}
	return s
}
