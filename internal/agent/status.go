package agent

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/grant"
)

// Status is what the running agent says of itself.
type Status struct {
	Version    string            `json:"version"`
	PID        int               `json:"pid"`
	Started    time.Time         `json:"started"`
	Grants     int               `json:"grants"`
	Channels   []Channel         `json:"channels"`
	Hooks      []Hook            `json:"hooks"`
	Cache      Cache             `json:"cache"`
	Stores     []Store           `json:"stores"` // that were asked, or that live grants need
	SpecCache  Cache             `json:"specCache"`
	Sources    []Source          `json:"sources"`       // that were asked
	Documents  []Document        `json:"documents"`     // cached credential specs that were used, the latest first; at most 100
	CCG        *hcs.ReaperStatus `json:"ccg,omitempty"` // absent where there is no HCS
	Config     Configuration     `json:"config"`
	AuditTrail string            `json:"auditTrail"`
}

// Channel is one of the two local channels.
type Channel struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
}

// Hook is a connection to a runtime.
type Hook struct {
	Name      string    `json:"name"` // "containerd", "docker"
	Endpoint  string    `json:"endpoint"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"`   // of the present state
	Error     string    `json:"error,omitempty"`  // why the last connection ended
	Wrapper   bool      `json:"wrapper"`          // the shim wrapper was seen at work
	Injects   bool      `json:"injects"`          // documents are given on create events, as a best effort
	Gate      bool      `json:"gate,omitempty"`   // of Docker: dockerd asks the gate
	Places    []Place   `json:"places,omitempty"` // of Docker: where credential specs are kept for it
}

// Place is where a credential spec is kept for a runtime.
type Place struct {
	Place      string    `json:"place"` // "file://webapp01.json"
	Path       string    `json:"path,omitempty"`
	Reference  string    `json:"reference"`
	Kept       bool      `json:"kept"`             // what stands there is the agent's
	Written    time.Time `json:"written,omitzero"` // absent: by an earlier agent
	Containers int       `json:"containers"`       // that use it
	Error      string    `json:"error,omitempty"`  // why it is not as its source has it
}

// Cache is the cache of plugin users in front of the stores, or that of
// credential specs in front of the remote sources.
type Cache struct {
	Entries int    `json:"entries"`
	Hits    uint64 `json:"hits"`
	Misses  uint64 `json:"misses"`
}

// Store is what is known of a secret store since the agent started. Which
// secrets are in use is not listed, for their names may be telling; an error
// names the reference that it is about, without which nobody could mend it.
type Store struct {
	Scheme      string    `json:"scheme"`
	InUse       int       `json:"inUse"`  // secrets that live grants need
	Cached      int       `json:"cached"` // secrets in the cache
	Hits        uint64    `json:"hits"`   // answered from the cache
	Misses      uint64    `json:"misses"` // not so
	Fetches     uint64    `json:"fetches"`
	Refreshes   uint64    `json:"refreshes"` // fetches ahead of use
	Failures    uint64    `json:"failures"`
	Stale       uint64    `json:"stale"` // misses answered with what the store gave last, because it could not be asked
	LastStale   time.Time `json:"lastStale,omitzero"`
	LastSuccess time.Time `json:"lastSuccess,omitzero"`
	LastError   string    `json:"lastError,omitempty"`
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"`
	Latency     Latency   `json:"latency"`
}

// Latency is what successful fetches took.
type Latency struct {
	Last float64 `json:"lastMilliseconds"`
	Mean float64 `json:"meanMilliseconds"` // the latest weigh most
	Max  float64 `json:"maxMilliseconds"`
}

// Source is what is known of a source of credential specs since the agent
// started.
type Source struct {
	Scheme      string    `json:"scheme"`
	Requests    uint64    `json:"requests"`
	Failures    uint64    `json:"failures"`
	LastSuccess time.Time `json:"lastSuccess,omitzero"`
	LastError   string    `json:"lastError,omitempty"`
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"`
}

// Document is a cached credential spec.
type Document struct {
	Reference string    `json:"reference"`
	Digest    string    `json:"digest"`             // SHA-256
	Confirmed time.Time `json:"confirmed,omitzero"` // when its source last said that this is its document; absent: in the future, by this host's clock
	Age       int64     `json:"ageSeconds"`         // since then; 0 where confirmed is absent
	Stale     string    `json:"stale,omitempty"`    // why its source could not be asked since then
}

// Configuration says which configuration runs.
type Configuration struct {
	File    string    `json:"file,omitempty"` // empty: the defaults
	Applied time.Time `json:"applied"`
	Error   string    `json:"error,omitempty"` // why the file on disk is not what runs
}

// Decision is what became of a container's request.
type Decision string

const (
	Granted Decision = "granted" // it holds a live grant
	Passed  Decision = "passed"  // its document was left as it is
	Refused Decision = "refused" // it may not start
)

// Container is a container that asked for a gMSA.
type Container struct {
	hook.Key
	Decision    Decision  `json:"decision"`
	Time        time.Time `json:"time"` // of the decision
	Image       string    `json:"image,omitempty"`
	Reference   string    `json:"reference,omitempty"`
	Digest      string    `json:"digest,omitempty"` // SHA-256 of the credential spec as its source had it
	Stale       string    `json:"stale,omitempty"`  // how old the credential spec was and why, if its source could not be asked
	Domain      string    `json:"domain,omitempty"`
	Account     string    `json:"account,omitempty"`
	Secret      string    `json:"secret,omitempty"`
	Grant       string    `json:"grant,omitempty"`
	Place       string    `json:"place,omitempty"` // where it shares its document with other containers
	Releases    int       `json:"releases"`        // since the agent started
	LastRelease time.Time `json:"lastRelease,omitzero"`
	Reason      string    `json:"reason,omitempty"`
	Carried     *Carried  `json:"carried,omitempty"` // of one that is asked for by its ID, if its runtime can be asked
}

// Report has every status of this agent filled in by f as well. Call it before
// the agent serves.
func (a *Agent) Report(f func(*Status)) { a.status = append(a.status, f) }

// Status describes the running agent.
func (a *Agent) Status() Status {
	s := Status{PID: os.Getpid(), Started: a.started.UTC(), Grants: a.grants.Len(), Channels: []Channel{}, Hooks: []Hook{}, Stores: []Store{}, Sources: []Source{}, Documents: []Document{}}
	for _, f := range a.status {
		f(&s)
	}
	a.countSecrets(&s)
	return s
}

// countSecrets counts the secrets that live grants need, by store.
func (a *Agent) countSecrets(s *Status) {
	needed := map[string]map[string]bool{}
	a.grants.All(func(g grant.Grant, _ grant.Uses) bool {
		scheme, _, _ := strings.Cut(g.Secret, "://")
		if needed[scheme] == nil {
			needed[scheme] = map[string]bool{}
		}
		needed[scheme][g.Secret] = true
		return true
	})
	for scheme, secrets := range needed {
		i := slices.IndexFunc(s.Stores, func(st Store) bool { return st.Scheme == scheme })
		if i < 0 {
			i = len(s.Stores)
			s.Stores = append(s.Stores, Store{Scheme: scheme})
		}
		s.Stores[i].InUse = len(secrets)
	}
	slices.SortFunc(s.Stores, func(x, y Store) int { return cmp.Compare(x.Scheme, y.Scheme) })
}

// Containers lists the containers that hold a grant, and the latest of those
// that were passed or refused since the agent started, ordered by name.
func (a *Agent) Containers() []Container {
	out := a.decisions.all()
	a.grants.All(func(g grant.Grant, u grant.Uses) bool {
		out = append(out, ofLive(g, u))
		return true
	})
	slices.SortFunc(out, func(x, y Container) int {
		return cmp.Or(cmp.Compare(x.Runtime, y.Runtime), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.ID, y.ID))
	})
	return out
}

// Container returns the containers with that ID in any runtime and namespace.
// None is an error that wraps [fault.ErrNotFound].
func (a *Agent) Container(id string) ([]Container, error) {
	found := slices.DeleteFunc(a.Containers(), func(c Container) bool { return c.ID != id })
	if len(found) == 0 {
		return nil, fmt.Errorf("container %q: it holds no grant, and none was refused to it since the agent started: %w", id, fault.ErrNotFound)
	}
	return found, nil
}

func ofLive(g grant.Grant, u grant.Uses) Container {
	return Container{
		Key: g.Container, Decision: Granted, Time: g.Created, Image: g.Image, Reference: g.Reference, Digest: g.Source, Stale: g.Stale,
		Domain: g.Domain, Account: g.Account, Secret: g.Secret, Grant: g.Name, Place: g.Place, Releases: u.Releases, LastRelease: u.Last,
	}
}

// maxDecisions bounds what is remembered of containers without a grant: those
// that were refused never end, so that no event removes them.
const maxDecisions = 256

// decisions remembers the latest passed and refused containers.
type decisions struct {
	mu    sync.Mutex
	byKey map[hook.Key]decision
	order []hook.Key // oldest first
}

type decision struct {
	audit.Record
	stale string // see Container.Stale
}

func newDecisions() *decisions { return &decisions{byKey: map[hook.Key]decision{}} }

func (d *decisions) put(m *admission) {
	r := decision{m.record, m.stale}
	r.Time = time.Now().UTC()
	for _, s := range []*string{&r.Image, &r.Reference, &r.Secret, &r.Domain, &r.Account, &r.Reason, &r.stale} {
		*s = short(*s)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(*r.Container)
	if len(d.order) == maxDecisions {
		d.drop(d.order[0])
	}
	d.byKey[*r.Container] = r
	d.order = append(d.order, *r.Container)
}

func (d *decisions) remove(k hook.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(k)
}

// removeBefore forgets a decision that was made before a container ended.
func (d *decisions) removeBefore(k hook.Key, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.byKey[k]; ok && !r.Time.After(at) {
		d.drop(k)
	}
}

// short cuts a text that somebody else wrote, so that what is remembered of
// refused containers stays within 2 MiB.
func short(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func (d *decisions) drop(k hook.Key) {
	if _, ok := d.byKey[k]; ok {
		delete(d.byKey, k)
		d.order = slices.DeleteFunc(d.order, func(x hook.Key) bool { return x == k })
	}
}

func (d *decisions) all() []Container {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]Container, 0, len(d.order))
	for _, k := range d.order {
		r := d.byKey[k]
		c := Container{
			Key: k, Decision: Refused, Time: r.Time, Image: r.Image, Reference: r.Reference, Digest: r.Digest, Stale: r.stale,
			Domain: r.Domain, Account: r.Account, Secret: r.Secret, Reason: r.Reason,
		}
		if r.Event == audit.AdmitPassed {
			c.Decision = Passed
		}
		out = append(out, c)
	}
	return out
}
