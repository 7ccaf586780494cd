package cache

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// held is a document as its source had it. It does not change.
type held struct {
	data   []byte
	shown  string // the reference without its pin, as it may be shown
	origin string
	tag    string
	digest string
}

// maxText bounds what a source says of a document, in bytes.
const maxText = 1024

// hold takes over a source's document.
func hold(ref credspec.Ref, doc credspec.Document) *held {
	h := &held{data: doc.Data, shown: ref.String(), origin: strings.ToValidUTF8(doc.Origin, "\uFFFD"), tag: doc.Tag, digest: credspec.Digest(doc.Data)}
	if len(h.origin) > maxText {
		h.origin = strings.ToValidUTF8(h.origin[:maxText], "") + "…"
	}
	// Half a tag is none. Without one the document is fetched anew.
	if len(h.tag) > maxText || !utf8.ValidString(h.tag) {
		h.tag = ""
	}
	return h
}

// size is what a document takes, on disk and about as much in memory.
func (h *held) size() int64 {
	const overhead = 512 // the file's other lines; the entry
	return int64(len(h.data)+len(h.shown)+len(h.origin)+len(h.tag)) + overhead
}

// good says whether the document can be admitted.
func (h *held) good() bool {
	return len(h.data) > 0 && len(h.data) <= credspec.MaxSize && !slices.ContainsFunc(credspec.Validate(h.data), func(p credspec.Problem) bool {
		return p.Severity == credspec.SeverityError
	})
}

// document is a copy for a caller.
func (h *held) document(ref credspec.Ref, confirmed time.Time, stale error) credspec.Document {
	return credspec.Document{
		Data: slices.Clone(h.data), Ref: ref, Origin: h.origin, Digest: h.digest, Tag: h.tag, Confirmed: confirmed, Stale: stale,
	}
}

// entry is a document with what is known of it. Cache.mu guards it.
type entry struct {
	name    string // of its file, by reference
	element *list.Element
	size    int64

	read sync.Once // of the file, where held is nil
	held *held

	confirmed   time.Time // by the source; zero: nobody knows when
	confirmedTo int       // the front that asked; 0 is one of an earlier agent

	failure  error // why the source could not be asked since then
	failed   time.Time
	failedTo int

	onDisk bool      // there may be a file
	dirty  bool      // it is to be written
	tried  time.Time // without success

	// What the file says; empty where that is not known.
	saved          string // the document's digest
	savedTag       string
	savedConfirmed time.Time
}

// nameOf is the name of a reference's file, whatever its pin is: 64 hexadecimal
// digits. The reference itself is not written down, since a URL may carry a
// credential.
func nameOf(ref credspec.Ref) string {
	sum := sha256.Sum256([]byte(ref.Scheme + "://" + ref.Rest))
	return hex.EncodeToString(sum[:])
}

// age is for how long a document has not been confirmed. The monotonic clock
// does not see a clock that is set back, and the wall clock sees a host that
// was suspended: it is the one that says more.
func age(now, confirmed time.Time) time.Duration {
	return max(now.Sub(confirmed), now.Round(0).Sub(confirmed.Round(0)))
}

// keep puts a document that was confirmed into the table. Cache.mu is held.
func (c *Cache) keep(name string, h *held, confirmed time.Time, to int) *entry {
	e := c.entries[name]
	if e == nil {
		e = &entry{name: name}
		c.insert(e)
	}
	c.bytes += h.size() - e.size
	e.held, e.size, e.confirmed, e.confirmedTo = h, h.size(), confirmed, to
	e.failure = nil
	if _, left := c.gone[name]; left {
		delete(c.gone, name)
		e.onDisk = true
	}
	c.used.MoveToFront(e.element)
	c.evict()
	return e
}

func (c *Cache) insert(e *entry) {
	c.entries[e.name] = e
	e.element = c.used.PushFront(e)
}

// evict makes room: what was not used for longest goes. Cache.mu is held.
func (c *Cache) evict() {
	for len(c.entries) > MaxDocuments || c.bytes > MaxBytes {
		c.drop(c.used.Back().Value.(*entry))
		c.stats.Evictions++
	}
}

// drop forgets a document. Cache.mu is held.
func (c *Cache) drop(e *entry) {
	c.used.Remove(e.element)
	delete(c.entries, e.name)
	c.bytes -= e.size
	if e.onDisk {
		c.gone[e.name] = time.Time{}
	}
}

// remember keeps a file that may be in the folder, which could not be looked
// into yet, from being taken for the source's document. Cache.mu is held.
func (c *Cache) remember(name string) {
	if !c.folder.usable.Load() && len(c.gone) < MaxDocuments {
		c.gone[name] = time.Time{}
	}
}
