package cache

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// Stats are what a [Cache] has seen since it was opened. Nothing in it is
// secret.
type Stats struct {
	Entries   int    // documents held now, on disk or in memory
	Hits      uint64 // resolutions without a request
	Misses    uint64 // resolutions that sent one, or waited for another's
	Stale     uint64 // resolutions that were answered with a document whose source was down
	Evictions uint64 // documents dropped to make room

	Sources map[string]SourceStats // by scheme
	// Documents are those that were used since then, the latest first, at most
	// [MaxListed].
	Documents []DocumentStats
}

// SourceStats are what a [Cache] has seen of one scheme's source.
type SourceStats struct {
	Requests    uint64 // requests that ended
	Failures    uint64 // those that ended with an error
	LastSuccess time.Time
	LastFailure time.Time
	LastError   string // the last failure's, cut to 512 bytes
}

// DocumentStats are what a [Cache] knows of a document that is in use.
type DocumentStats struct {
	Reference string // as credspec.Ref.String has it, without a pin, cut to 1024 bytes
	Digest    string
	Confirmed time.Time // when its source last said that this is its document; zero: nobody knows
	Age       time.Duration
	Stale     string // why the source could not be asked since then, cut to 512 bytes
}

// MaxListed bounds [Stats.Documents]: their list is read by people.
const MaxListed = 100

// Stats returns the counts so far.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Entries = len(c.entries)
	s.Sources = maps.Clone(s.Sources)
	now := time.Now()
	for at := c.used.Front(); at != nil && len(s.Documents) < MaxListed; at = at.Next() {
		e := at.Value.(*entry)
		if e.held == nil {
			continue
		}
		d := DocumentStats{Reference: cut(e.held.shown, 1024), Digest: e.held.digest, Confirmed: e.confirmed, Age: age(now, e.confirmed)}
		if e.failure != nil {
			d.Stale = cut(e.failure.Error(), 512)
		}
		s.Documents = append(s.Documents, d)
	}
	return s
}

// count counts one request.
func (s *Stats) count(scheme string, err error) {
	st := s.Sources[scheme]
	st.Requests++
	if err == nil {
		st.LastSuccess = time.Now()
	} else {
		st.Failures++
		st.LastFailure = time.Now()
		st.LastError = cut(err.Error(), 512)
	}
	s.Sources[scheme] = st
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

// Count returns source as it is, but that its requests are counted in the
// cache's Stats.
func (c *Cache) Count(source credspec.Source) credspec.Source { return counted{c, source} }

type counted struct {
	cache  *Cache
	source credspec.Source
}

// Resolve implements credspec.Source.
func (s counted) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	doc, err := s.source.Resolve(ctx, ref)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return doc, err // it was the caller who gave up
	}
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	s.cache.stats.count(ref.Scheme, err)
	return doc, err
}
