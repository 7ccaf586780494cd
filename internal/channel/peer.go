package channel

import (
	"fmt"
	"sync"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Peer is the process at the other end of an accepted connection, as the
// kernel knows it. The process is held by a handle (a pidfd on Linux) that was
// opened before anything was asked of it, so that what is said here is of one
// process even if its number has been given to another since.
type Peer struct {
	// PID is the process's number. It is for people: never look a process up by it.
	PID int
	// Image is the absolute path of the program it runs. Empty where the
	// agent may not read it.
	Image string
	// User is the SID of the user it runs as, or "uid:" and a number on unix.
	User string
	// Groups are the SIDs of the groups that are enabled in its token. Nil on unix.
	Groups []string

	mu      sync.Mutex // guards process: Alive and close may come together
	process process
}

// Alive says whether the process still runs.
func (p *Peer) Alive() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process.alive()
}

// String names the peer for logs and audit records.
func (p *Peer) String() string {
	if p == nil {
		return "an unknown process"
	}
	image := p.Image
	if image == "" {
		image = "an unreadable program"
	}
	return fmt.Sprintf("process %d (%s) of %s", p.PID, image, p.User)
}

// close lets go of the process.
func (p *Peer) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.process.close()
}

// unidentified is the error for a caller of whom the kernel does not say enough.
func unidentified(what string, cause error) error {
	return fmt.Errorf("cannot tell who is calling: %s: %w: %w", what, fault.ErrDenied, cause)
}
