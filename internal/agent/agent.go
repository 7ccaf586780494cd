// Package agent is the heart of the daemon: it admits containers, keeps their
// grants, redeems grants for the plugin user's credentials, revokes them when
// the container is gone, and leaves an audit record of each step before the
// step takes effect.
//
// There is one way in (Admit), one way out (Redeem) and one end (Ended, Live).
// The package decides; it does not know how a credential spec is fetched
// (package credspec's sources), how a secret is (package secrets' stores),
// which runtime asks (package hook's subpackages), nor on which platform it
// runs.
package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/grant"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Trail takes audit records; see [audit.Log]. A record that it refuses stops
// what the record is about.
type Trail interface {
	Write(audit.Record) error
}

// Settings are what an administrator configures and what may change while the
// agent runs.
type Settings struct {
	// Specs resolves credential specs.
	Specs credspec.Source
	// Secrets fetches plugin users, from a cache where that is useful.
	Secrets secrets.Store
	// Local lists the secrets that serve their domain without further
	// configuration. It may be nil.
	Local secrets.Lister
	// Serve says which secret goes with which credential spec, where neither
	// the document nor the container names one.
	Serve []config.Serve
	// Policy narrows who may use which gMSA.
	Policy config.Policy
	// Adopt lists GUIDs of other plugins whose documents are taken over: their
	// PluginInput is read as a secret reference and their GUID replaced.
	Adopt []string
	// DomainJoined says that the host's own account can fetch gMSA passwords,
	// so that a credential spec for which there is no secret passes as it is.
	DomainJoined bool
}

// Agent implements [hook.Admitter] and [hook.Tracker]. It is safe for
// concurrent use.
type Agent struct {
	settings atomic.Pointer[Settings]

	// step makes one step of what is recorded and what takes effect by it, so
	// that the trail has the order in which things became true.
	step      sync.Mutex
	grants    *grant.Registry
	decisions *decisions
	trail     Trail
	log       *slog.Logger
	started   time.Time
	status    []func(*Status)
	panicked  func(in, kind string)
	refusals  refusals
	confirmed confirmed
	odd       odd
	instances Instances // nil: nobody looks after them
	verbs     map[string]Verb
	carriers  map[string]Carrier // by runtime

	sharing sync.Mutex
	shares  map[string]*share // by place
}

var (
	_ hook.Admitter = (*Agent)(nil)
	_ hook.Tracker  = (*Agent)(nil)
	_ hook.Sharer   = (*Agent)(nil)
)

// Options are what an agent needs for its life.
type Options struct {
	StateDir string // must exist, for the agent alone
	Trail    Trail
	Log      *slog.Logger
	Settings Settings
	// Runtimes are those that will report their containers; see [Agent.Live].
	// Until a runtime has, the grants of an earlier agent redeem nothing: their
	// containers may have gone meanwhile. Grants of other runtimes redeem at
	// once, and end only when something says so.
	Runtimes []string
	// Panicked is told of a fault of the agent that was caught: what it was doing,
	// and the type of what it panicked with. It may be nil.
	Panicked func(in, kind string)
}

// New reads the grants of an earlier agent back and is ready to serve.
func New(o Options) (*Agent, error) {
	grants, damaged, err := grant.Open(o.StateDir)
	if err != nil {
		return nil, err
	}
	if damaged > 0 {
		o.Log.Warn("the journal of grants is damaged; the containers concerned cannot redeem until they are created again", "lines", damaged)
	}
	a := &Agent{grants: grants, decisions: newDecisions(), trail: o.Trail, log: o.Log, started: time.Now(), confirmed: waitFor(o.Runtimes), verbs: map[string]Verb{}, carriers: map[string]Carrier{}, shares: map[string]*share{}, panicked: o.Panicked}
	a.Apply(o.Settings)
	if err := a.trail.Write(audit.Record{Event: audit.AgentStarted, Reason: fmt.Sprintf("%d live grants", grants.Len())}); err != nil {
		return nil, errors.Join(err, grants.Close())
	}
	return a, nil
}

// Apply replaces the settings. What is being decided goes on with the old ones.
func (a *Agent) Apply(s Settings) { a.settings.Store(&s) }

// Note writes an audit record of the agent's own life, such as a change of its
// configuration.
func (a *Agent) Note(e audit.Event, reason string) {
	if err := a.trail.Write(audit.Record{Event: e, Reason: reason}); err != nil {
		a.log.Error("no audit record", "event", e, "error", err)
	}
}

// oneStep runs f as one step; see Agent.step.
func (a *Agent) oneStep(f func() error) error {
	a.step.Lock()
	defer a.step.Unlock()
	return f()
}

// Close ends the agent. The grants stay for the next one.
func (a *Agent) Close() error {
	a.Note(audit.AgentStopped, "")
	return a.grants.Close()
}
