package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// How long the watch waits before it tries to connect again: as long as dockerd
// takes for its own restart, and no longer than a person wants to wait after that.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 5 * time.Second
)

// member is a container that was admitted to a place.
type member struct {
	facts   hook.Facts
	place   *place
	joined  bool      // it was admitted, and not only is being
	started time.Time // last, as far as is known
	listed  bool      // started is from a listing, and its event may come yet
	died    time.Time // last; zero: not since it was started
	// starting is when an admitted start of it began that is not over yet.
	starting time.Time
}

// follow watches until ctx ends.
func (w *Watch) follow(ctx context.Context) {
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
	quiet := w.cfg.Quiet && !before.Seen
	switch {
	case connected && !before.Connected:
		w.status.Seen, w.status.LastError = true, ""
		w.log.Info("connected to Docker", "root", w.root, "gate", w.gated)
		if !w.gated && len(w.places) > 0 {
			w.log.Warn("dockerd does not ask the gate: containers may start without their gMSA; name it in daemon.json's authorization-plugins", "plugin", Plugin)
		}
	case err != nil && !quiet && (before.Connected || before.LastError != w.status.LastError):
		w.log.Warn("not connected to Docker; trying again", "error", err)
	}
}

// session is one connection's life. It returns whether what existed was listed,
// and why the connection ended.
func (w *Watch) session(ctx context.Context) (listed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e, err := w.connect(w.cfg.Endpoint)
	if err != nil {
		return false, err
	}
	defer e.Close() //nolint:errcheck // nothing is written through it
	in, err := e.info(ctx)
	if err != nil {
		return false, err
	}
	w.mu.Lock()
	w.gated = in.gated
	if in.os != "" {
		w.os = in.os
	}
	w.setRoot(in.root)
	w.mu.Unlock()
	// Docker repeats what has happened since, so that nothing is lost between the
	// subscription and the listing.
	messages, errs := e.events(ctx, time.Now())
	if err := w.reconcile(ctx, e); err != nil {
		return false, err
	}
	w.setConnected(true, nil)
	for {
		select {
		case m := <-messages:
			w.handle(ctx, e, m)
		case err := <-errs:
			return true, err
		}
	}
}

func key(id string) hook.Key { return hook.Key{Runtime: Runtime, ID: id} }

// handle does what an event calls for.
func (w *Watch) handle(ctx context.Context, e engine, m event) {
	switch m.action {
	case events.ActionCreate:
		w.created(ctx, e, m)
	case events.ActionStart:
		w.started(ctx, e, m)
	case events.ActionDie:
		w.died(ctx, e, m)
	case events.ActionUpdate: // perhaps of its restart policy
		w.mu.Lock()
		mb := w.members[m.id]
		starting := mb != nil && !mb.starting.IsZero()
		w.mu.Unlock()
		if !starting {
			w.settle(ctx, e, m.id, m.at)
		}
	case events.ActionDestroy:
		w.end(ctx, m.id, m.at, "the container was removed")
	}
}

func (w *Watch) end(ctx context.Context, id string, at time.Time, reason string) {
	w.mu.Lock()
	delete(w.members, id)
	w.mu.Unlock()
	if err := w.agent.Ended(ctx, key(id), at, reason); err != nil {
		w.log.Error("the end of a container could not be noted", "container", key(id), "error", err)
	}
}

// created admits a container that asks, where the gate does not when it is
// started. That is as good as it gets: its start may come first.
func (w *Watch) created(ctx context.Context, e engine, m event) {
	w.mu.Lock()
	gated, any := w.gated, len(w.places) > 0
	w.mu.Unlock()
	if gated || !any {
		return
	}
	c, err := e.inspect(ctx, m.id)
	if err != nil || !c.Asks() {
		return
	}
	if err := w.Start(ctx, c.Ask, "on its creation: dockerd does not ask the gate"); err != nil {
		w.log.Warn("a container is not given a gMSA", "container", key(m.id), "error", err)
	}
}

// reading is longer than it takes from the admission to a copy until that copy
// stands where Docker reads it.
const reading = 5 * time.Second

// sameStart is how far the time that an inspection says of a start may be from its
// event's. Docker starts no container twice in that time without its death between.
const sameStart = 2 * time.Second

// started notes that a container runs. One whose start was not admitted just now
// was started by Docker itself.
func (w *Watch) started(ctx context.Context, e engine, m event) {
	w.mu.Lock()
	mb := w.members[m.id]
	if mb == nil {
		w.mu.Unlock()
		if _, asks := (hook.Facts{Labels: m.labels}).Ask(); asks {
			w.stranger(ctx, e, m.id)
		}
		return
	}
	read, reason := mb.starting, ""
	if read.IsZero() && mb.listed && mb.died.IsZero() && m.at.Sub(mb.started) < sameStart {
		mb.listed = false
		w.mu.Unlock()
		return
	}
	if read.IsZero() {
		read, reason = mb.died.Add(-reading), "Docker started the container again by itself, by its restart policy"
	}
	mb.started, mb.died, mb.starting, mb.listed = m.at, time.Time{}, time.Time{}, false
	w.mu.Unlock()
	if err := w.agent.Reread(ctx, key(m.id), read, reason); err != nil {
		w.log.Error("the restart of a container could not be noted", "container", key(m.id), "error", err)
	}
}

// stranger reports a container that runs and was not admitted.
func (w *Watch) stranger(ctx context.Context, e engine, id string) {
	c, err := e.inspect(ctx, id)
	if err != nil || !c.Running || !c.Asks() || w.agent.Holds(key(id)) {
		return
	}
	w.mu.Lock()
	want, err := w.judge(c.Ask)
	w.mu.Unlock()
	if err == nil && want.place == nil {
		return // what Docker gave it is not of our making
	}
	w.adopt(ctx, c)
}

// died ends the grants of a container that Docker will not start again by itself.
func (w *Watch) died(ctx context.Context, e engine, m event) {
	w.mu.Lock()
	mb := w.members[m.id]
	if mb != nil && !m.at.After(mb.started) {
		mb = nil // it was listed since, and runs again
	}
	if mb != nil {
		mb.died = m.at
	}
	starting := mb != nil && !mb.starting.IsZero()
	w.mu.Unlock()
	if mb != nil && !starting { // else it is being restarted, and was admitted for that
		w.settle(ctx, e, m.id, m.at)
	}
}

// settle looks whether a member can run again without being asked for.
func (w *Watch) settle(ctx context.Context, e engine, id string, at time.Time) {
	w.mu.Lock()
	_, is := w.members[id]
	w.mu.Unlock()
	if !is {
		return
	}
	c, err := e.inspect(ctx, id)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		w.end(ctx, id, at, "the container was removed")
	case err != nil:
		w.log.Warn("what became of a container cannot be found out; its grant stays", "container", key(id), "error", err)
	case !c.Running && !c.Restarts:
		w.end(ctx, id, at, "the container has ended, and Docker does not start it again by itself")
	}
}

// reconcile tells the agent which containers exist, and makes up for what happened
// while the watch was not there.
func (w *Watch) reconcile(ctx context.Context, e engine) error {
	mark := w.agent.Mark() // before the listing: what is newer may be missing in it
	before := time.Now()
	ids, err := e.list(ctx)
	if err != nil {
		return fmt.Errorf("list the containers: %w", err)
	}
	keys := make([]hook.Key, len(ids))
	there := make(map[string]bool, len(ids))
	for i, id := range ids {
		keys[i], there[id] = key(id), true
	}
	if err := w.agent.Live(ctx, Runtime, mark, keys); err != nil {
		return fmt.Errorf("report the containers: %w", err)
	}
	w.mu.Lock()
	for id, m := range w.members {
		if !there[id] && m.starting.IsZero() {
			delete(w.members, id)
		}
	}
	any := len(w.places) > 0
	w.mu.Unlock()
	for _, id := range ids {
		k := key(id)
		if !any && !w.agent.Holds(k) {
			continue
		}
		c, err := e.inspect(ctx, id)
		switch {
		case errors.Is(err, fault.ErrNotFound):
			continue // its event is on its way
		case err != nil:
			return fmt.Errorf("inspect the container %s: %w", id, err)
		case !c.Asks():
			continue
		}
		w.catchUp(ctx, c, before)
	}
	return nil
}

// catchUp treats a container that is there as its events would have.
func (w *Watch) catchUp(ctx context.Context, c Container, before time.Time) {
	since, holds := w.agent.HeldSince(key(c.ID))
	w.mu.Lock()
	want, err := w.judge(c.Ask)
	mb := w.members[c.ID]
	if mb == nil && holds && err == nil && want.place != nil {
		mb = &member{facts: c.facts(), place: want.place, joined: true, started: c.Started, listed: true}
		if !c.Running && !c.Started.After(since) {
			mb.starting = time.Now() // an earlier agent has admitted it: it is about to start
		}
		w.members[c.ID] = mb
		w.mu.Unlock()
		if !c.Running && !c.Restarts && mb.starting.IsZero() {
			w.end(ctx, c.ID, before, "the container has ended, and Docker does not start it again by itself")
		}
		return
	}
	if mb != nil {
		again := c.Running && mb.starting.IsZero() && !mb.started.IsZero() && c.Started.After(mb.started)
		gone := !c.Running && !c.Restarts && mb.starting.IsZero()
		if again {
			mb.started, mb.died, mb.listed = c.Started, time.Time{}, true
		}
		w.mu.Unlock()
		switch {
		case again:
			// When it died is not known: what it held, it may have read.
			if err := w.agent.Reread(ctx, key(c.ID), time.Time{}, "Docker started the container again by itself, while the agent was not connected"); err != nil {
				w.log.Error("the restart of a container could not be noted", "container", key(c.ID), "error", err)
			}
		case gone:
			w.end(ctx, c.ID, before, "the container has ended, and Docker does not start it again by itself")
		}
		return
	}
	w.mu.Unlock()
	if c.Running && err == nil && want.place != nil {
		w.adopt(ctx, c)
	}
}

// adopt admits a container that runs already, with what stands in its place: it
// was started while the gate was not asked. If it may not have it, that is on
// record as a container that runs without its gMSA.
func (w *Watch) adopt(ctx context.Context, c Container) {
	err := w.admit(ctx, c.Ask, "it was found running", func(m *member) { m.started, m.listed = c.Started, true })
	if err == nil || ctx.Err() != nil {
		return
	}
	if err := w.agent.Lost(ctx, key(c.ID), fmt.Sprintf("it was found running and was never admitted: %v", err)); err != nil {
		w.log.Error("a container that runs without its gMSA could not be reported", "container", key(c.ID), "error", err)
	}
}

// startTimeout is longer than any start takes: a container that is restarted may
// take its time to stop.
const startTimeout = 15 * time.Minute

// expire gives up waiting for starts that nobody has told the end of.
func (w *Watch) expire(ctx context.Context) {
	w.mu.Lock()
	var late []string
	for id, m := range w.members {
		if !m.starting.IsZero() && time.Since(m.starting) > startTimeout {
			m.starting = time.Time{}
			late = append(late, id)
		}
	}
	w.mu.Unlock()
	for _, id := range late {
		w.settleBy(ctx, id)
	}
}

// settleBy is settle over a connection of its own.
func (w *Watch) settleBy(ctx context.Context, id string) {
	e, err := w.connect(w.cfg.Endpoint)
	if err != nil {
		return
	}
	defer e.Close() //nolint:errcheck // nothing is written through it
	w.settle(ctx, e, id, time.Now())
}

// complainOnce says whether an error is news.
func (w *Watch) complainOnce(about string, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.said) > 256 {
		clear(w.said)
	}
	if w.said[about] == err.Error() {
		return false
	}
	w.said[about] = err.Error()
	return true
}
