// Package cache keeps the last good document of every remote reference, in
// memory and on disk, so that containers start while a source is down, and that
// many of them at once cost it one request.
//
// It knows whether a document is good, how old it is, and what the source said
// last. It refuses to know what a source is, who asks, and whether anybody may
// have what it holds: documents are taken from it as they are from a source. A
// folder that cannot be used costs what is kept in it and nothing else.
package cache

import (
	"container/list"
	"log/slog"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// The bounds of a Cache.
const (
	// MaxDocuments is how many documents are kept. A host runs some hundred
	// containers at most, and most of them share their credential spec.
	MaxDocuments = 512
	// MaxBytes is how much they take, in memory and again on disk. Nearly every
	// document has less than 2 KiB; this has room for sixteen of the longest.
	MaxBytes = 16 * credspec.MaxSize
	// Pause is for how long a reference whose source was down is answered from
	// the cache without asking again. It is as long as one request is given by
	// default, so that at least half of the time nobody waits for one.
	Pause = 10 * time.Second
)

// maxFlights bounds the requests to one source that are under way: containers
// that are given up leave theirs behind until the source's time is up. Each
// source has its own bound, so that one that hangs is in nobody else's way.
const maxFlights = 64

// Limits say for how long a document is used.
type Limits struct {
	// Fresh is for how long after its source confirmed it a document is used
	// without asking. Zero asks every time.
	Fresh time.Duration
	// Stale is for how long after its source confirmed it a document is used
	// while the source cannot be asked. Zero is never.
	Stale time.Duration
}

// Cache holds documents. It is safe for concurrent use.
type Cache struct {
	log *slog.Logger

	mu      sync.Mutex
	entries map[string]*entry    // by name
	used    list.List            // of *entry, most recently used first
	bytes   int64                // of all entries
	gone    map[string]time.Time // names whose file is to be removed; when that was tried
	fronts  int                  // how many were made
	stats   Stats                // but for what entries say

	disk       sync.Mutex // guards what follows, and the folder's content; taken before mu
	folder     folder
	opened     time.Time // when that was tried last
	complained time.Time
	closed     bool
}

// Open returns a Cache whose documents are in the folder dir, which is made for
// the agent alone. What is wrong with the folder is logged, and the cache then
// lives in memory until it can be used. Close it when it is done with.
func Open(dir string, log *slog.Logger) *Cache {
	c := &Cache{
		log:     log,
		entries: map[string]*entry{},
		gone:    map[string]time.Time{},
		stats:   Stats{Sources: map[string]SourceStats{}},
		folder:  folder{dir: dir},
	}
	c.disk.Lock()
	defer c.disk.Unlock()
	c.usable()
	return c
}

// Front returns source with the cache in front of it. Several may be in front
// of sources of the same scheme, one after the other: what an earlier one
// fetched is revalidated before a later one uses it, since it may be configured
// to mean something else by the same reference.
//
// source must end its requests by itself, however long their callers wait: what
// is under way is shared by all who want it. Its error is taken as its word,
// but for one that wraps fault.ErrUnavailable, which says that there was none.
func (c *Cache) Front(source credspec.Source, limits Limits) credspec.Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fronts++
	return &front{cache: c, source: source, limits: limits, number: c.fronts, flights: map[string]*flight{}}
}

// Close writes what is not on disk yet. After it the cache goes on to answer
// and writes nothing.
func (c *Cache) Close() error {
	c.disk.Lock()
	defer c.disk.Unlock()
	if c.closed {
		return nil
	}
	c.flush(time.Now().Add(flushTime))
	c.closed = true
	c.folder.close()
	return nil
}
