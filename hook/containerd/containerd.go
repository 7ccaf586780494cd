// Package containerd watches a containerd: it tells the agent which containers
// exist, and where the shim wrapper is not installed it gives a container that
// asks its admitted document on the event of its creation.
//
// The first is certain, the second is not. A grant ends when its container does,
// whatever the watch missed meanwhile: after each connection it subscribes, makes
// sure that the subscription delivers, and only then lists what there is. But a
// container's task may follow its creation at once, and then the runtime has
// copied the container's spec before the watch could change it. So the watch
// looks into the bundle of every task, which is the proof (the API shows the
// changed spec even when the race was lost), and reports a container that runs
// without its document.
//
// The package knows containerd's API and the agent through [hook.Admitter] and
// [hook.Tracker]. It refuses to know what a credential spec is and who may use
// one.
package containerd

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// Runtime is the Runtime of the keys of all containers that this package reports.
const Runtime = "containerd"

// Inject says when the watch itself gives a container its document.
type Inject string

// The values of Inject.
const (
	// InjectAuto stands back as soon as the shim wrapper has been seen at work
	// on a container of this containerd. A container that asks by a label is
	// given its document all the same: the wrapper does not see labels.
	InjectAuto Inject = "auto"
	// InjectAlways does not stand back.
	InjectAlways Inject = "always"
	// InjectNever leaves containers alone, and does not look into their bundles
	// either. Grants end with their containers all the same.
	InjectNever Inject = "never"
)

// Config says which containerd is watched, and what is done to its containers.
type Config struct {
	// Address is the socket or named pipe of its API.
	Address string
	// Namespaces are those in which documents are injected and bundles looked
	// into; empty: all. The ends of containers are reported in all namespaces,
	// because the shim wrapper asks in all.
	Namespaces []string
	// Inject is InjectAuto if it is empty.
	Inject Inject
	// StateDir is containerd's state folder, where the bundles are; empty: the
	// platform's default. It is used only for tasks that ran before the watch
	// connected: the event of a task's creation names the bundle.
	StateDir string
}

// Watch is the watch of one containerd. It is safe for concurrent use.
type Watch struct {
	cfg      Config
	admitter hook.Admitter
	tracker  hook.Tracker
	log      *slog.Logger
	dial     func(address string) (*grpc.ClientConn, error)
	admits   chan struct{} // holds a token for each admission under way

	mu      sync.Mutex
	status  Status
	wrapper bool                      // the wrapper was seen at work
	asked   map[hook.Key]struct{}     // by the wrapper, whose task is not there yet
	given   map[hook.Key]documentHash // what was injected
	giving  map[hook.Key]*giving      // what is being injected
}

// maxAdmits bounds the admissions that one watch makes at a time. A host that
// starts does so with some dozens of containers at once.
const maxAdmits = 32

// New returns a watch. It does nothing until [Watch.Run].
func New(cfg Config, admitter hook.Admitter, tracker hook.Tracker, log *slog.Logger) *Watch {
	if cfg.Inject == "" {
		cfg.Inject = InjectAuto
	}
	if cfg.StateDir == "" {
		cfg.StateDir = defaultStateDir
	}
	return &Watch{
		cfg: cfg, admitter: admitter, tracker: tracker, log: log.With("containerd", cfg.Address),
		dial:   dial,
		admits: make(chan struct{}, maxAdmits),
		asked:  map[hook.Key]struct{}{},
		given:  map[hook.Key]documentHash{},
		giving: map[hook.Key]*giving{},
	}
}

// Status is the state of a watch.
type Status struct {
	Address string `json:"address"`
	// Connected says that events arrive and that what existed before was listed.
	Connected bool `json:"connected"`
	// Since is when Connected last changed; zero before the first connection.
	Since time.Time `json:"since,omitzero"`
	// LastError is why the last connection ended or could not be made.
	LastError string `json:"lastError,omitempty"`
	// Wrapper says that the shim wrapper was seen at work.
	Wrapper bool `json:"wrapper"`
	// Injects says that containers which the wrapper would see are given their
	// documents by the watch.
	Injects bool `json:"injects"`
}

// Status returns the watch's present state.
func (w *Watch) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Address, s.Wrapper, s.Injects = w.cfg.Address, w.wrapper, w.injectsLocked()
	return s
}

func (w *Watch) injectsLocked() bool {
	return w.cfg.Inject == InjectAlways || w.cfg.Inject == InjectAuto && !w.wrapper
}

// covers says whether containers of a namespace are given documents.
func (w *Watch) covers(namespace string) bool {
	return w.cfg.Inject != InjectNever && (len(w.cfg.Namespaces) == 0 || slices.Contains(w.cfg.Namespaces, namespace))
}

func (w *Watch) forget(k hook.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.asked, k)
	delete(w.given, k)
}
