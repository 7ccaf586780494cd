// Package docker gives plain Docker's containers their gMSA.
//
// On Windows dockerd reads a container's credential spec at each start, from a
// file of its CredentialSpecs folder or a value of the registry, and knows no
// hook that could change it. So the package keeps these places: each configured
// credential spec stands there with a grant's token in it, as its source has it
// now. All containers that name a place share that token; it redeems as long as
// one lives that was admitted. And since nobody asks before Docker reads, the
// gate does: an authorization plugin of dockerd (package gate), a process of its
// own, shows the agent what is to be created and started, and lets pass what has
// nothing to do with gMSAs, whether the agent is there or not.
//
// The package watches Docker's events, so that grants end with their containers
// and live on where Docker starts one again by itself.
//
// It knows Docker's API and the agent through [hook.Sharer] and [hook.Tracker].
// It refuses to know what a credential spec says and who may use one.
package docker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// Runtime is the Runtime of the keys of all containers that this package reports.
const Runtime = "docker"

// Plugin is the name by which dockerd's configuration names the gate.
const Plugin = "gmsa-agent"

// Spec is a credential spec that is kept where Docker reads it.
type Spec struct {
	Name      string        // of the file without ".json", and of the registry value
	Reference string        // where it is from
	Secret    string        // reference; empty: the one that serves the domain
	Registry  bool          // it is kept in Docker's registry key, too
	Refresh   time.Duration // how often its source is asked while containers use it
}

// Config says which Docker is watched, and what is kept for it.
type Config struct {
	// Endpoint is Docker's API: "unix:///var/run/docker.sock"; empty: the platform's.
	Endpoint string
	// Root is Docker's data folder; empty: as Docker says.
	Root string
	// StateDir is the agent's folder for what this package remembers.
	StateDir string
	// Same says whether two references name the same credential spec.
	Same func(a, b string) bool
	// Quiet: a Docker that was never there is nothing to complain of.
	Quiet bool
}

// Agent is what the watch needs of the agent.
type Agent interface {
	hook.Sharer
	hook.Tracker
	Holds(hook.Key) bool
}

// Watch keeps one Docker's credential specs and follows its containers. It is
// safe for concurrent use.
type Watch struct {
	cfg     Config
	agent   Agent
	log     *slog.Logger
	connect func(endpoint string) (engine, error)
	record  *record

	mu      sync.Mutex
	status  Status
	os      string // of the containers that this Docker runs
	root    string
	gated   bool // dockerd asks the gate
	places  map[string]*place
	members map[string]*member // by ID
	said    map[string]string  // what was complained of, by path
}

// New returns a watch that keeps specs. It does nothing until [Watch.Run].
func New(cfg Config, specs []Spec, agent Agent, log *slog.Logger) *Watch {
	if cfg.Endpoint == "" {
		cfg.Endpoint = DefaultEndpoint
	}
	w := &Watch{
		cfg: cfg, agent: agent, log: log.With("docker", cfg.Endpoint), connect: connect,
		record: openRecord(cfg.StateDir, log), os: defaultOS, places: map[string]*place{}, members: map[string]*member{}, said: map[string]string{},
	}
	w.Configure(specs)
	return w
}

// Status is the state of a watch.
type Status struct {
	Endpoint  string
	Connected bool      // events arrive and what existed before was listed
	Since     time.Time // when Connected last changed; zero before the first connection
	LastError string    // why the last connection ended or could not be made
	Seen      bool      // it was connected once
	Gate      bool      // dockerd asks the gate
	Places    []PlaceStatus
}

// PlaceStatus is the state of a place.
type PlaceStatus struct {
	Place      string    // "file://webapp01.json"
	Path       string    // for people; empty: not known yet
	Reference  string    // the credential spec's, as configured
	Kept       bool      // what stands there is the agent's
	Written    time.Time // when that was written; zero: by an earlier agent
	Containers int       // that use it
	Error      string    // why it is not as its source has it
}

// Status returns the watch's present state.
func (w *Watch) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Endpoint, s.Gate = w.cfg.Endpoint, w.gated
	using := map[*place]int{}
	for _, m := range w.members {
		using[m.place]++
	}
	for _, key := range sortedKeys(w.places) {
		s.Places = append(s.Places, w.places[key].status(using[w.places[key]]))
	}
	return s
}

// Visible says whether the watch is worth a word: Docker was there, or somebody
// has configured something for it.
func (w *Watch) Visible() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.cfg.Quiet || w.status.Seen || len(w.places) > 0
}

// Connected says whether the watch follows Docker's events.
func (w *Watch) Connected() bool { return w.Status().Connected }

// Run watches until ctx ends. A Docker that is not there, or goes away, is a
// state and not an error: see [Watch.Status].
func (w *Watch) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { w.keep(ctx) })
	w.follow(ctx)
}
