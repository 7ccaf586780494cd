package hcs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Container is what a runtime says of a container.
type Container struct {
	ID    string
	Place string // runtime and namespace: "containerd/k8s.io"
}

// Runtime is a container runtime of this host.
type Runtime interface {
	// Name is for people: "containerd at \\.\pipe\containerd-containerd".
	Name() string
	// Containers returns all containers that the runtime knows, whether they
	// run or not. If there is an error, the answer is not the whole, and nothing
	// is concluded from it; but one that wraps ErrAbsent says that this host does
	// not have the runtime, and so no containers of it.
	Containers(ctx context.Context) ([]Container, error)
}

// ErrAbsent says that a runtime is not installed on this host.
var ErrAbsent = errors.New("not on this host")

// Grants says which containers hold a grant, and which.
type Grants interface {
	// Grants are the public names of live grants, by container ID.
	Grants() map[string]string
}

// Timing says when a CCG instance without a container is removed.
type Timing struct {
	Reap     bool          // false: only when somebody asks for it
	Interval time.Duration // from one look to the next
	Grace    time.Duration // how long everybody must agree that its container is gone
}

// Removal is what is about to be done to an instance.
type Removal struct {
	ID     string
	Place  string // where its container was last seen; empty if it never was
	Reason string
}

// instanceCalls is a Service, or a test's.
type instanceCalls interface {
	List(context.Context) ([]Instance, error)
	Remove(ctx context.Context, id string) error
}

// Reaper removes CCG instances that were left behind: a shim that dies between
// the two never removes what it added, and HCS keeps it until it ends itself.
//
// What it removes it cannot bring back, so it doubts. An instance's container
// is gone only when every runtime of this host and HCS have said so, in the same
// look and in every look for the time of grace. A runtime that does not answer,
// or an answer that what HCS runs contradicts, is no reason to remove anything:
// the time of grace begins anew. An instance whose ID no runtime here would have
// made, and that was never seen as a container's, is somebody else's and stays.
type Reaper struct {
	instances instanceCalls
	systems   func(context.Context) ([]System, error)
	runtimes  []Runtime
	grants    Grants
	log       *slog.Logger

	asking  []chan struct{} // holds a token while the runtime has a question
	listing chan struct{}   // the same of HCS's systems
	looking chan struct{}   // holds a token during a look and what follows from it
	orphans map[string]time.Time
	seen    map[string]string // instance ID → its container's place

	mu     sync.Mutex // for what follows
	timing Timing
	status ReaperStatus
}

// NewReaper returns a reaper. It does nothing until it is asked to.
func NewReaper(instances *Service, systems *Systems, runtimes []Runtime, grants Grants, t Timing, log *slog.Logger) *Reaper {
	return newReaper(instances, systems.List, runtimes, grants, t, log)
}

func newReaper(instances instanceCalls, systems func(context.Context) ([]System, error), runtimes []Runtime, grants Grants, t Timing, log *slog.Logger) *Reaper {
	r := &Reaper{
		instances: instances, systems: systems, runtimes: runtimes, grants: grants, log: log,
		listing: make(chan struct{}, 1), looking: make(chan struct{}, 1), orphans: map[string]time.Time{}, seen: map[string]string{}, timing: t,
	}
	for range runtimes {
		r.asking = append(r.asking, make(chan struct{}, 1))
	}
	return r
}

// Apply changes the timing, from the next look on.
func (r *Reaper) Apply(t Timing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timing = t
}

func (r *Reaper) times() Timing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.timing
}

// ReaperStatus is what is known of the reaper since the agent started.
type ReaperStatus struct {
	Reaps     bool      `json:"reaps"` // removes what is left behind, by itself
	LastLook  time.Time `json:"lastLook,omitzero"`
	Instances int       `json:"instances"` // at the last look
	Orphaned  int       `json:"orphaned"`
	Foreign   int       `json:"foreign"`
	Unclear   string    `json:"unclear,omitempty"` // why the last look concluded nothing
	Removed   int       `json:"removed"`
	Failed    int       `json:"failed"` // removals that HCS refused

	LastError   string    `json:"lastError,omitempty"`
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"`
}

// Status returns the reaper's state.
func (r *Reaper) Status() ReaperStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Reaps = r.timing.Reap
	return s
}

// The longest that a look takes. Who looks by hand does not wait as long as the
// reaper does: 5,000 containers take their runtime some seconds.
const (
	lookPatience   = time.Minute
	callerPatience = 8 * time.Second
)

// Run looks, and removes, until ctx ends. Before tells of each removal before it
// takes effect; its error prevents it.
func (r *Reaper) Run(ctx context.Context, before func(Removal) error) {
	for {
		t := r.times()
		report, err := r.reap(ctx, lookPatience, Request{DryRun: !t.Reap}, before)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			r.failed(err)
			<-ctx.Done()
			return
		case ctx.Err() != nil:
			return
		case err != nil:
			r.failed(err)
			r.log.Warn("CCG instances cannot be looked through", "error", err)
		case report.Unclear != "":
			r.log.Debug("which CCG instances are left behind is unclear; none is removed", "reason", report.Unclear)
		}
		timer := time.NewTimer(t.Interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (r *Reaper) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.LastError, r.status.LastErrorAt = err.Error(), time.Now().UTC()
}

// Request says what to remove.
type Request struct {
	// IDs are instances to be removed now, without grace. Nil: those whose time
	// of grace is over.
	IDs []string `json:"ids,omitempty"`
	// DryRun removes nothing and says what would be.
	DryRun bool `json:"dryRun,omitempty"`
}

// List looks and removes nothing.
func (r *Reaper) List(ctx context.Context) (Report, error) {
	return r.reap(ctx, callerPatience, Request{DryRun: true}, nil)
}

// Reap looks, and removes what is asked for and left behind. Before is as for
// Run. An ID that cannot be removed is told in the report.
func (r *Reaper) Reap(ctx context.Context, q Request, before func(Removal) error) (Report, error) {
	return r.reap(ctx, callerPatience, q, before)
}

func (r *Reaper) reap(ctx context.Context, patience time.Duration, q Request, before func(Removal) error) (Report, error) {
	// Who waits for another's look waits within his own patience.
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case r.looking <- struct{}{}:
	case <-ctx.Done():
		return Report{}, fmt.Errorf("CCG instances: another look takes too long: %w: %w", ctx.Err(), fault.ErrUnavailable)
	}
	defer func() { <-r.looking }()
	report, err := r.look(ctx, patience == lookPatience)
	if err != nil {
		return Report{}, err
	}
	r.choose(&report, q)
	if !q.DryRun {
		r.remove(ctx, &report, before)
	}
	r.note(report)
	return report, nil
}

// choose marks what is to be removed, and says why what was asked for is not.
func (r *Reaper) choose(report *Report, q Request) {
	if q.IDs == nil {
		for i := range report.Instances {
			f := &report.Instances[i]
			f.Chosen = f.State == Orphaned && !report.Time.Before(f.Due) && report.Time.After(f.Since)
		}
		return
	}
	for _, id := range q.IDs {
		at := slices.IndexFunc(report.Instances, func(f Found) bool { return f.ID == id })
		if at < 0 {
			report.Missing = append(report.Missing, id)
			continue
		}
		f := &report.Instances[at]
		switch f.State {
		case Orphaned, Foreign:
			f.Chosen = true
		default:
			f.Kept = f.why(report)
		}
	}
}

// remove removes what is chosen.
func (r *Reaper) remove(ctx context.Context, report *Report, before func(Removal) error) {
	for i := range report.Instances {
		f := &report.Instances[i]
		if !f.Chosen {
			continue
		}
		if err := r.removeOne(ctx, f, before); err != nil {
			f.Kept = err.Error()
			continue
		}
		f.Removed = true
		delete(r.orphans, f.ID)
		delete(r.seen, f.ID)
	}
}

func (r *Reaper) removeOne(ctx context.Context, f *Found, before func(Removal) error) error {
	// The look takes time, and so do the removals before this one: a container
	// that was admitted meanwhile may have this ID.
	if grant, held := folded(r.grants.Grants())[fold(f.ID)]; held {
		return fmt.Errorf("its container holds the grant %s since a moment ago: %w", grant, fault.ErrUnavailable)
	}
	reason := fmt.Sprintf("no runtime and no compute system has had a container of it since %s", f.Since.UTC().Format(time.RFC3339))
	if f.State == Foreign || f.Since.IsZero() {
		reason = "no runtime and no compute system has a container of it"
	}
	if err := before(Removal{ID: f.ID, Place: f.Place, Reason: reason}); err != nil {
		return err
	}
	err := r.instances.Remove(ctx, f.ID)
	if err != nil && !errors.Is(err, fault.ErrNotFound) { // somebody else was first
		r.log.Error("a CCG instance could not be removed", "instance", f.ID, "error", err)
		return err
	}
	r.log.Info("a CCG instance that was left behind is removed", "instance", f.ID, "reason", reason)
	return nil
}

// note keeps what Status says.
func (r *Reaper) note(report Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.status
	s.LastLook, s.Unclear = report.Time, report.Unclear
	s.Instances, s.Orphaned, s.Foreign = 0, 0, 0
	for _, f := range report.Instances {
		switch {
		case f.Removed:
			s.Removed++
			continue // it is no more
		case f.Chosen && f.Kept != "":
			s.Failed++
			s.LastError, s.LastErrorAt = f.Kept, report.Time
		}
		s.Instances++
		switch f.State {
		case Orphaned:
			s.Orphaned++
		case Foreign:
			s.Foreign++
		}
	}
}

// fold makes IDs comparable: HCS takes them in any case.
func fold(id string) string { return strings.ToLower(id) }

func folded(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for id, v := range m {
		out[fold(id)] = v
	}
	return out
}

// prune forgets instances that are no more.
func (r *Reaper) prune(list []Instance) {
	exists := make(map[string]bool, len(list))
	for _, i := range list {
		exists[i.ID] = true
	}
	maps.DeleteFunc(r.orphans, func(id string, _ time.Time) bool { return !exists[id] })
	maps.DeleteFunc(r.seen, func(id, _ string) bool { return !exists[id] })
}
