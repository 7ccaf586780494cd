package gate

import (
	"sync"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// maxKnown bounds what is remembered, at some 100 bytes each. What is forgotten
// costs a look at the container.
const maxKnown = 16384

// known remembers containers that do not ask for a gMSA. What a container asks for
// never changes; but its image's labels are its own, too, and the request that
// creates it does not show them. So one counts when both have been seen: the
// request, and the event of the creation, which has all labels.
type known struct {
	mu    sync.Mutex
	quiet map[string]bool // by full ID
	half  map[string]seen
}

// seen is what has been seen of a creation.
type seen int

const (
	seenRequest seen = 1 << iota
	seenEvent
	seenBoth = seenRequest | seenEvent
)

func newKnown() *known { return &known{quiet: map[string]bool{}, half: map[string]seen{}} }

// silent says whether a container is known not to ask. A name, or the beginning of
// an ID, may be another's by now: only an ID counts.
func (k *known) silent(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.quiet[id]
}

// add remembers a container that was looked at.
func (k *known) add(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addLocked(id)
}

func (k *known) addLocked(id string) {
	delete(k.half, id)
	if len(k.quiet) >= maxKnown {
		clear(k.quiet)
	}
	k.quiet[id] = true
}

// created notes that the request did not ask.
func (k *known) created(id string) { k.note(id, seenRequest) }

// event notes what the event of a creation says.
func (k *known) event(id string, labels map[string]string) {
	if _, asks := (hook.Facts{Labels: labels}).Ask(); !asks {
		k.note(id, seenEvent)
	}
}

func (k *known) note(id string, s seen) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.half) >= maxKnown {
		clear(k.half)
	}
	if k.half[id] |= s; k.half[id] == seenBoth {
		k.addLocked(id)
	}
}

func (k *known) gone(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.quiet, id)
	delete(k.half, id)
}
