package cache

import (
	"errors"
	"io/fs"
	"time"
)

// retry is after what time something that failed on the disk is tried again.
const retry = time.Minute

// flushTime bounds what Close spends on the times of confirmations, which are
// of use only to the next agent.
const flushTime = time.Second

// usable makes the folder usable if it is not, and says whether it is. Cache.disk
// is held.
func (c *Cache) usable() bool {
	switch {
	case c.closed:
		return false
	case c.folder.usable.Load():
		return true
	case time.Since(c.opened) < retry && !c.opened.IsZero():
		return false
	}
	c.opened = time.Now()
	if err := c.folder.open(); err != nil {
		c.complain("the folder of cached credential specs cannot be used; they are kept in memory only", "", err)
		return false
	}
	files, err := c.folder.list()
	if err != nil {
		c.complain("the folder of cached credential specs cannot be listed", "", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range files {
		if e := c.entries[f.name]; e != nil {
			e.onDisk = true
			continue
		}
		if _, refused := c.gone[f.name]; refused {
			continue
		}
		e := &entry{name: f.name, size: f.size, onDisk: true}
		c.insert(e)
		c.bytes += e.size
	}
	c.evict()
	return true
}

// recall reads the file of a document that is not in memory.
func (c *Cache) recall(name string) {
	c.mu.Lock()
	e := c.entries[name]
	cold := e != nil && e.held == nil
	c.mu.Unlock()
	if cold {
		e.read.Do(func() { c.read(e) })
	}
}

// read reads an entry's file. One that is of no use is forgotten. It does not
// wait for what is being written: a file is the old one or the new one.
func (c *Cache) read(e *entry) {
	var h *held
	var confirmed time.Time
	b, err := c.folder.load(e.name)
	if err == nil {
		h, confirmed, err = decode(e.name, b)
	}
	if errors.Is(err, fs.ErrClosed) {
		return // the cache is closed
	}
	now := time.Now()
	// What was confirmed in the future was so before the clock was set back.
	// How old it is nobody knows, and it must not be young for that.
	future := err == nil && confirmed.After(now)

	c.mu.Lock()
	switch {
	case c.entries[e.name] != e, e.held != nil: // the source has spoken meanwhile
	case err != nil:
		c.drop(e)
	default:
		e.held, e.saved, e.savedTag, e.savedConfirmed = h, h.digest, h.tag, confirmed
		c.bytes += h.size() - e.size
		e.size = h.size()
		if !future {
			e.confirmed = now.Add(-now.Sub(confirmed)) // with a monotonic time
		}
	}
	c.mu.Unlock()
	switch {
	case future:
		c.log.Warn("a cached credential spec was confirmed in the future, by this host's clock: it is not used while its source is down", "file", e.name+suffix, "confirmed", confirmed)
	case err != nil:
		c.log.Warn("a cached credential spec cannot be used and is removed; its source is asked", "file", e.name+suffix, "error", err)
		c.save()
	}
}

// save brings the folder up to date.
func (c *Cache) save() {
	c.disk.Lock()
	defer c.disk.Unlock()
	if c.usable() {
		c.removeGone()
		c.writeDirty(time.Time{})
	}
}

// flush is save for the last time, and with what can wait. Cache.disk is held.
func (c *Cache) flush(until time.Time) {
	if !c.usable() {
		return
	}
	c.mu.Lock()
	for _, e := range c.entries {
		if e.held != nil && e.confirmed.After(e.savedConfirmed) {
			e.dirty = true
		}
		e.tried = time.Time{}
	}
	c.mu.Unlock()
	c.removeGone()
	c.writeDirty(until)
}

// removeGone removes the files of documents that were dropped. Cache.disk is
// held.
func (c *Cache) removeGone() {
	c.mu.Lock()
	var names []string
	for name, tried := range c.gone {
		if time.Since(tried) >= retry {
			names = append(names, name)
		}
	}
	c.mu.Unlock()
	for _, name := range names {
		err := c.folder.remove(name)
		if err != nil {
			c.complain("a cached credential spec that its source has no more cannot be removed", name+suffix, err)
		}
		c.mu.Lock()
		if _, still := c.gone[name]; still && err == nil {
			delete(c.gone, name)
		} else if still {
			c.gone[name] = time.Now()
		}
		c.mu.Unlock()
	}
}

// writeDirty writes what is not on disk as it should be, until that time if
// there is one. Cache.disk is held.
func (c *Cache) writeDirty(until time.Time) {
	c.mu.Lock()
	var dirty []*entry
	for _, e := range c.entries {
		if e.dirty && time.Since(e.tried) >= retry {
			dirty = append(dirty, e)
		}
	}
	c.mu.Unlock()
	for _, e := range dirty {
		if !until.IsZero() && time.Now().After(until) {
			return
		}
		c.write(e)
	}
}

func (c *Cache) write(e *entry) {
	c.mu.Lock()
	h, confirmed, live := e.held, e.confirmed, c.entries[e.name] == e
	replaces := e.onDisk && e.saved != h.digest
	if live {
		e.onDisk, e.dirty = true, false
	}
	c.mu.Unlock()
	if !live {
		return
	}
	b, err := encode(e.name, h, confirmed)
	if err == nil {
		err = c.folder.replace(e.name, b)
	}
	removed := false
	if err != nil {
		c.complain("a credential spec cannot be written to the cache's folder", e.name+suffix, err)
		// After a restart the document before this one must not be taken for
		// the source's last.
		removed = replaces && c.folder.remove(e.name) == nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		c.folder.close() // it is gone, and made anew next time
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		e.saved, e.savedTag, e.savedConfirmed = h.digest, h.tag, confirmed
	default:
		e.dirty, e.tried = true, time.Now()
		if removed {
			e.saved, e.savedTag, e.savedConfirmed = "", "", time.Time{}
		}
	}
}

// complain logs what is wrong with the disk, now and then: it would be said of
// every document. Cache.disk is held.
func (c *Cache) complain(what, file string, err error) {
	if now := time.Now(); c.complained.IsZero() || now.Sub(c.complained) >= retry {
		c.complained = now
		c.log.Warn(what, "folder", c.folder.dir, "file", file, "error", err)
	}
}
