package netlab

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Way leads from an address of a network to one of the machine.
type Way struct {
	network *Network
	at      netip.AddrPort
	to      string

	mu     sync.Mutex
	ln     net.Listener // nil while it is cut
	hung   bool
	open   map[net.Conn]struct{} // of the program's
	joined sync.WaitGroup
}

// Cut ends every connection and has the network refuse new ones.
func (w *Way) Cut() {
	w.mu.Lock()
	if w.ln != nil {
		_ = w.ln.Close() // nothing can be lost
		w.ln = nil
	}
	w.mu.Unlock()
	w.breakAll()
	w.joined.Wait()
}

// Hang ends every connection; new ones are taken, and nothing is said.
func (w *Way) Hang() {
	w.mu.Lock()
	w.hung = true
	w.mu.Unlock()
	w.breakAll()
}

// Mend has the way lead where it led at first.
func (w *Way) Mend() error {
	w.mu.Lock()
	hung := w.hung
	w.hung = false
	w.mu.Unlock()
	if hung {
		w.breakAll() // those that wait would wait on
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ln != nil {
		return nil
	}
	ln, err := w.listen()
	if err != nil {
		return err
	}
	w.ln = ln
	w.joined.Go(func() { w.accept(ln) })
	return nil
}

// release is far longer than a process takes from its fork to its program, in
// which it has copies of all that is open here: what was closed stays in use.
const release = 10 * time.Second

func (w *Way) listen() (ln net.Listener, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), release)
	defer cancel()
	err = lab.WaitFor(ctx, w.at.String(), func(context.Context) error {
		return w.network.inside(func() (err error) {
			ln, err = net.Listen("tcp4", w.at.String())
			return err
		})
	})
	return ln, err
}

func (w *Way) breakAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		_ = c.Close() // its copiers see it
	}
}

func (w *Way) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return // cut
		}
		w.mu.Lock()
		cut := w.ln != ln
		if !cut {
			w.open[c] = struct{}{}
		}
		w.mu.Unlock()
		if cut {
			_ = c.Close() // too late
			return
		}
		w.joined.Go(func() { w.join(c) })
	}
}

// join is there for one connection, until it ends.
func (w *Way) join(c net.Conn) {
	defer func() {
		w.mu.Lock()
		delete(w.open, c)
		w.mu.Unlock()
		_ = c.Close() // may be closed already
	}()
	w.mu.Lock()
	hung := w.hung
	w.mu.Unlock()
	if hung {
		_, _ = io.Copy(io.Discard, c) // until somebody gives up
		return
	}
	s, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer s.Close() //nolint:errcheck // may be closed already
	var both sync.WaitGroup
	both.Go(func() { pump(s, c) })
	both.Go(func() { pump(c, s) })
	both.Wait()
}

// pump copies until one of the two ends, and ends both: nothing that is spoken
// here goes on in one direction only.
func pump(to, from net.Conn) {
	_, _ = io.Copy(to, from) // either may be broken at any time
	_, _ = to.Close(), from.Close()
}
