package secrets

import (
	"maps"
	"strings"
	"time"
	"unicode/utf8"
)

// Stats are what a [Cache] has seen since it was made. Nothing in it is secret.
type Stats struct {
	Entries   int    // credentials held now
	Hits      uint64 // fetches answered from the cache
	Misses    uint64 // fetches that were not
	Joined    uint64 // misses that waited for another one's fetch
	Stale     uint64 // fetches from the store that failed and were answered with an overdue credential
	Evictions uint64 // credentials dropped to make room

	Stores map[string]StoreStats // by scheme
}

// StoreStats are what a [Cache] has seen of one scheme's store.
type StoreStats struct {
	Fetches     uint64 // fetches from the store that ended
	Failures    uint64 // those that ended with an error
	LastSuccess time.Time
	LastFailure time.Time
	LastError   string // the last failure's error, cut to 512 bytes
}

// record counts one fetch. One that nobody waited for was cancelled by the
// cache itself, which tells nothing of the store.
func (s *Stats) record(scheme string, err error, abandoned bool) {
	st := s.Stores[scheme]
	st.Fetches++
	switch {
	case err == nil:
		st.LastSuccess = time.Now()
	case !abandoned:
		st.Failures++
		st.LastFailure = time.Now()
		st.LastError = cut(err.Error(), 512)
	}
	s.Stores[scheme] = st
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
	s := c.stats
	s.Entries = len(c.entries)
	s.Stores = maps.Clone(s.Stores)
	return s
}
