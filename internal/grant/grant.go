// Package grant keeps the grants: which container was admitted with which
// credential spec and which secret, and the digest of the token that its
// document carries.
//
// A token is usually one container's. Where a runtime reads documents from a
// place that containers share, it is that place's: each container that was
// admitted to the document there has a grant of its own, all of the same token,
// which redeems as long as one of them is live. What the document says may change
// while containers run with what it said before, so that such a container can
// have grants of several tokens.
//
// Grants outlive the agent. They are journaled, and read back at the next
// start whatever moment the last agent was killed at. The journal is not
// synced to the disk: a grant has to survive the end of a process, which the
// operating system's cache does, and never the end of the host, which ends
// every container and so every grant.
//
// The package does not decide anything, and it never sees a token again after
// [Registry.Add]: it stores SHA-256 digests, so its file redeems nothing.
package grant

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// Digest is a SHA-256 sum, in hexadecimal where it is text.
type Digest [sha256.Size]byte

// Sum is the digest of b.
func Sum[T string | []byte](b T) Digest { return sha256.Sum256([]byte(b)) }

// String is the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText is String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(d) {
		return errors.New("a digest has 64 hexadecimal digits")
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// Grant is an admitted container × credential spec × secret.
type Grant struct {
	Name      string    `json:"name"` // public: for audit records and people
	Token     Digest    `json:"token"`
	Place     string    `json:"place,omitempty"` // where containers share the document; empty: it is this one's alone
	Container hook.Key  `json:"container"`
	Image     string    `json:"image,omitempty"`
	Reference string    `json:"reference"`         // the credential spec's, fit to be shown
	Source    string    `json:"source"`            // SHA-256 of the credential spec as its source had it
	Document  Digest    `json:"document"`          // of the admitted document
	Domain    string    `json:"domain"`            // DNS name
	NetBIOS   string    `json:"netbios,omitempty"` // of the same domain
	Account   string    `json:"account"`           // the gMSA, without "$"
	Secret    string    `json:"secret"`            // reference
	Stale     string    `json:"stale,omitempty"`   // how old the credential spec was, if its source could not be asked
	Created   time.Time `json:"created"`

	mark     hook.Mark // when it was added, as the registry counts
	restored bool
}

// Restored says that the grant was made by an earlier agent.
func (g Grant) Restored() bool { return g.restored }

// Uses says how often a grant was redeemed since the agent started.
type Uses struct {
	Releases int
	Last     time.Time
}

type entry struct {
	Grant
	uses Uses
}

// Registry holds the live grants. It is safe for concurrent use.
type Registry struct {
	mu      sync.Mutex
	journal *journal
	byToken map[Digest][]*entry   // the latest last
	byKey   map[hook.Key][]*entry // the latest last
	live    int
	mark    hook.Mark
}

// Open reads the journal in the folder dir, which must exist and be writable
// for the agent only, and compacts it. Lines that are damaged are left out and
// counted in damaged; a container whose grant was lost with one fails to
// redeem and can be started again.
func Open(dir string) (r *Registry, damaged int, err error) {
	r = &Registry{byToken: map[Digest][]*entry{}, byKey: map[hook.Key][]*entry{}}
	damaged, err = replay(dir, func(op operation) error {
		switch {
		case op.Add != nil:
			op.Add.restored = true
			r.insert(*op.Add)
		case op.Leave != "":
			for _, e := range r.byToken[digestOf(op.End)] {
				if e.Name == op.Leave {
					r.remove(e)
					break
				}
			}
		case op.End != nil:
			for len(r.byToken[*op.End]) > 0 {
				r.remove(r.byToken[*op.End][0])
			}
		default:
			return errors.New("neither an addition nor an end")
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	if r.journal, err = compact(dir, r.snapshot(), nil); err != nil {
		return nil, 0, err
	}
	return r, damaged, nil
}

// Close closes the journal. The grants stay.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal.close()
}

// insert makes g live; the caller has journaled it. What it ends, it ends by
// itself, at a replay too.
func (r *Registry) insert(g Grant) {
	if g.Place == "" {
		for len(r.byKey[g.Container]) > 0 {
			r.remove(r.byKey[g.Container][0])
		}
	} else if old := r.holder(g.Token, g.Container); old != nil {
		r.remove(old)
	}
	r.mark++
	g.mark = r.mark
	e := &entry{Grant: g}
	r.byToken[g.Token] = append(r.byToken[g.Token], e)
	r.byKey[g.Container] = append(r.byKey[g.Container], e)
	r.live++
}

func (r *Registry) remove(e *entry) {
	without(r.byToken, e.Token, e)
	without(r.byKey, e.Container, e)
	r.live--
}

func without[K comparable](m map[K][]*entry, k K, e *entry) {
	if rest := slices.DeleteFunc(m[k], func(x *entry) bool { return x == e }); len(rest) > 0 {
		m[k] = rest
	} else {
		delete(m, k)
	}
}

// holder is a container's grant of a token, or nil.
func (r *Registry) holder(token Digest, k hook.Key) *entry {
	for _, e := range r.byToken[token] {
		if e.Container == k {
			return e
		}
	}
	return nil
}

func last(list []*entry) *entry {
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// Add makes g live. An earlier grant of the same container ends with it: the
// container is being created again, so nobody holds the earlier document. Where
// the document is shared, only an earlier grant of the same token does.
func (r *Registry) Add(g Grant) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if held := last(r.byToken[g.Token]); held != nil && (g.Place == "" || held.Place != g.Place) {
		return errors.New("grant: the token exists already")
	}
	if err := r.append(operation{Add: &g}); err != nil {
		return err
	}
	r.insert(g)
	return nil
}

// Redeemable returns the live grant of a token, the latest where containers
// share it.
func (r *Registry) Redeemable(token string) (Grant, bool) {
	sum := Sum(token)
	r.mu.Lock()
	defer r.mu.Unlock()
	e := last(r.byToken[sum])
	// The map finds a digest, whose timing says nothing of use about a token
	// of 256 random bits; the comparison is for the reader who doubts it.
	if e == nil || subtle.ConstantTimeCompare(e.Token[:], sum[:]) != 1 {
		return Grant{}, false
	}
	return e.Grant, true
}

// Holders returns the live grants of a token, in the order in which they were
// made.
func (r *Registry) Holders(token Digest) []Grant {
	r.mu.Lock()
	defer r.mu.Unlock()
	return grantsOf(r.byToken[token])
}

func grantsOf(list []*entry) []Grant {
	grants := make([]Grant, len(list))
	for i, e := range list {
		grants[i] = e.Grant
	}
	return grants
}

// Live returns the grant if it has not ended.
func (r *Registry) Live(g Grant) (Grant, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(g); e != nil {
		return e.Grant, true
	}
	return Grant{}, false
}

// find is the entry of a grant that is live, or nil.
func (r *Registry) find(g Grant) *entry {
	for _, e := range r.byToken[g.Token] {
		if e.Container == g.Container && e.Name == g.Name {
			return e
		}
	}
	return nil
}

// Released counts a release of the grant with that name, if it is still live.
func (r *Registry) Released(g Grant, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(g); e != nil {
		e.uses.Releases++
		e.uses.Last = at
	}
}

// Of returns the live grant of a container, the latest if it has several.
func (r *Registry) Of(k hook.Key) (Grant, Uses, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := last(r.byKey[k]); e != nil {
		return e.Grant, e.uses, true
	}
	return Grant{}, Uses{}, false
}

// AllOf returns the live grants of a container, in the order in which they were
// made.
func (r *Registry) AllOf(k hook.Key) []Grant {
	r.mu.Lock()
	defer r.mu.Unlock()
	return grantsOf(r.byKey[k])
}

// End ends a grant if it is live. What others hold of the same token stays.
func (r *Registry) End(g Grant) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.find(g)
	if e == nil {
		return nil
	}
	// It ends in memory even if that cannot be written: a refused release is
	// the safe side, and Live ends it again after a restart.
	r.remove(e)
	op := operation{End: &g.Token}
	if g.Place != "" {
		op.Leave = g.Name
	}
	return r.append(op)
}

// Mark returns a mark between the grants made before and after this call.
func (r *Registry) Mark() hook.Mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mark
}

// Before returns the live grants of a runtime that were made before a mark.
func (r *Registry) Before(runtime string, asOf hook.Mark) []Grant {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Grant
	for _, list := range r.byToken {
		for _, e := range list {
			if e.Container.Runtime == runtime && e.mark <= asOf {
				out = append(out, e.Grant)
			}
		}
	}
	return out
}

// All calls f for every live grant, in no order, until f returns false. f must
// not call the registry.
func (r *Registry) All(f func(Grant, Uses) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, list := range r.byToken {
		for _, e := range list {
			if !f(e.Grant, e.uses) {
				return
			}
		}
	}
}

// Len is the number of live grants.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live
}

// snapshot is the additions that make what is live, in their order: which grant
// is the latest follows from it.
func (r *Registry) snapshot() []operation {
	all := make([]*entry, 0, r.live)
	for _, list := range r.byToken {
		all = append(all, list...)
	}
	slices.SortFunc(all, func(x, y *entry) int { return cmp.Compare(x.mark, y.mark) })
	ops := make([]operation, len(all))
	for i, e := range all {
		ops[i] = operation{Add: &e.Grant}
	}
	return ops
}

func (r *Registry) append(op operation) error {
	if err := r.journal.append(op); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if !r.journal.bloated(r.live) {
		return nil
	}
	// The operation just appended is not applied yet, so it goes behind the
	// snapshot once more.
	if j, err := compact(r.journal.dir, append(r.snapshot(), op), r.journal); err == nil {
		r.journal = j
	} // else the long journal still serves, and the next operation tries again
	return nil
}

// operation is one line of the journal.
type operation struct {
	Add   *Grant  `json:"add,omitempty"`
	End   *Digest `json:"end,omitempty"`
	Leave string  `json:"leave,omitempty"` // of End: the name of the one grant that ends; empty: all of the token
}

func digestOf(d *Digest) Digest {
	if d == nil {
		return Digest{}
	}
	return *d
}

func (o operation) encode() ([]byte, error) { return json.Marshal(o) }
