package containerd

import (
	"context"
	"errors"
	"time"
)

// How long the watch waits before it tries to connect again. containerd needs
// about a second for its own restart; until the watch is connected the grants of
// containers that are deleted stay, so the wait does not grow far.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 5 * time.Second
)

// Run watches until ctx ends. A containerd that is not there, or goes away, is a
// state and not an error: see [Watch.Status].
func (w *Watch) Run(ctx context.Context) {
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		listed, err := w.session(ctx)
		if ctx.Err() != nil {
			w.setConnected(false, nil)
			return
		}
		w.setConnected(false, err)
		if listed {
			wait = firstWait
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// setConnected notes a change of the connection, and says it once.
func (w *Watch) setConnected(connected bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.status
	if before.Connected != connected {
		w.status.Connected, w.status.Since = connected, time.Now().UTC()
	}
	if err != nil {
		w.status.LastError = err.Error()
	}
	switch {
	case connected && !before.Connected:
		w.log.Info("connected to containerd")
	case err != nil && (before.Connected || before.LastError != w.status.LastError):
		w.log.Warn("not connected to containerd; trying again", "error", err)
	}
}

// session is one connection's life. It returns whether what existed was listed,
// and why the connection ended.
func (w *Watch) session(ctx context.Context) (listed bool, err error) {
	conn, err := w.dial(w.cfg.Address)
	if err != nil {
		return false, err
	}
	s := newSession(w, conn)
	ctx, end := context.WithCancelCause(ctx)
	s.run(ctx, end)
	s.work.wait()
	return s.listed.Load(), errors.Join(context.Cause(ctx), conn.Close())
}
