package daemon

import (
	"context"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook/containerd"
	"github.com/gmsa-agent/gmsa-agent/hook/docker"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
)

// What goes wrong without anybody asking the agent for something is looked for
// now and then: whether stores and sources answer, runtimes are connected, and
// the plugin is registered. Each change is an event, and so is its end.
const healthEvery = 15 * time.Second

// pulse is the end of a wait until the next look; a test's is shorter.
var pulse = time.After

// health remembers what was found at the last look.
type health struct {
	events       *eventlog.Recorder
	registration func() (problem string, err error)

	stores, sources map[string]bool // failing, by scheme
	runtimes        map[string]bool // connected, by address; those that once were
	broken          string          // the plugin's registration: why
}

// request is what is known of the requests to a store or a source.
type request struct {
	failed, succeeded time.Time
	err               string
}

func (d *daemon) watchHealth(ctx context.Context) error {
	h := &health{
		events: d.events, registration: d.registration,
		stores: map[string]bool{}, sources: map[string]bool{}, runtimes: map[string]bool{},
	}
	for {
		d.look(h)
		select {
		case <-ctx.Done():
			return nil
		case <-pulse(healthEvery):
		}
	}
}

func (d *daemon) look(h *health) {
	d.mu.Lock()
	stores, sources := d.cache.Stats().Stores, d.specs.Stats().Sources
	d.mu.Unlock()
	for scheme, s := range stores {
		h.answers(h.stores, scheme, request{s.LastFailure, s.LastSuccess, s.LastError}, eventlog.StoreFailing, eventlog.StoreRecovered)
	}
	for scheme, s := range sources {
		h.answers(h.sources, scheme, request{s.LastFailure, s.LastSuccess, s.LastError}, eventlog.SourceFailing, eventlog.SourceRecovered)
	}
	for _, w := range d.watches {
		s := w.Status()
		h.connected(connection{containerd.Runtime, s.Address, s.Connected, s.LastError})
	}
	if d.docker != nil {
		s := d.docker.Status()
		h.connected(connection{docker.Runtime, s.Endpoint, s.Connected, s.LastError})
	}
	h.registered()
}

// answers tells of a store or a source whose last request failed, once, and of
// the next one that did not.
func (h *health) answers(failing map[string]bool, scheme string, r request, lost, back eventlog.ID) {
	fails := r.failed.After(r.succeeded)
	switch {
	case fails && !failing[scheme]:
		h.events.Record(eventlog.Entry{ID: lost, Subject: scheme, Params: []string{scheme, r.err}})
	case !fails && failing[scheme]:
		h.events.Record(eventlog.Entry{ID: back, Subject: scheme, Params: []string{scheme}})
	}
	failing[scheme] = fails
}

// connection is that of a watch to its runtime.
type connection struct {
	runtime, address string
	up               bool
	err              string // why the last one ended
}

// connected tells of a runtime that was connected and is not, and of its return.
// One that was never connected may not be meant to run.
func (h *health) connected(c connection) {
	was, known := h.runtimes[c.address]
	switch {
	case was && !c.up:
		h.events.Record(eventlog.Entry{ID: eventlog.RuntimeLost, Subject: c.address, Params: []string{c.runtime, c.address, c.err}})
	case known && !was && c.up:
		h.events.Record(eventlog.Entry{ID: eventlog.RuntimeBack, Subject: c.address, Params: []string{c.runtime, c.address}})
	}
	if known || c.up {
		h.runtimes[c.address] = c.up
	}
}

func (h *health) registered() {
	broken, err := h.registration()
	if err != nil {
		return // who may not read it is told by `plugin status`
	}
	switch {
	case broken != "" && broken != h.broken:
		h.events.Record(eventlog.Entry{ID: eventlog.PluginBroken, Params: []string{broken}})
	case broken == "" && h.broken != "":
		h.events.Record(eventlog.Entry{ID: eventlog.PluginHealed})
	}
	h.broken = broken
}
