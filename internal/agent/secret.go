package agent

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// recordStaleSecret records that a plugin user is not what the store says now,
// but what it said last. r says whom it is for.
func (a *Agent) recordStaleSecret(r audit.Record, c *secrets.Credential) error {
	if c.Stale == nil {
		return nil
	}
	age := time.Since(c.Asked).Round(time.Second)
	r.Time, r.Event, r.Version = time.Time{}, audit.SecretStale, c.Version
	r.Reason = fmt.Sprintf("it is %v old, fetched at %s: %v", age, c.Asked.UTC().Format(time.RFC3339), c.Stale)
	if err := a.trail.Write(r); err != nil {
		return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	a.log.Warn("a secret store cannot be asked; what it gave last is used", "secret", r.Secret, "version", c.Version, "reason", r.Reason)
	return nil
}

// odd remembers of which plugin users it was said that they look odd.
type odd struct {
	mu   sync.Mutex
	told map[string]string // version, by reference
}

// maxOdd is more secrets than a host has; beyond it, some are told of again.
const maxOdd = 256

// warnOdd says, once of each version, that a plugin user looks as if it were
// not meant so: what echo puts at the end of a password is the commonest case.
// It is used as it is, for nobody can know. What is odd about it is for
// administrators to see, and not for a log.
func (a *Agent) warnOdd(ref secrets.Ref, c *secrets.Credential) {
	if len(secrets.Warnings(c)) == 0 {
		return
	}
	name := ref.String()
	a.odd.mu.Lock()
	version, told := a.odd.told[name]
	told = told && version == c.Version
	if a.odd.told == nil || len(a.odd.told) >= maxOdd {
		a.odd.told = map[string]string{}
	}
	a.odd.told[name] = c.Version
	a.odd.mu.Unlock()
	if !told {
		a.log.Warn("a plugin user looks odd, and is used as it is stored; to see why: gmsa-agent secret check REF", "secret", name, "version", c.Version)
	}
}

// Forget asks the agent to drop what it has cached of a secret, because it is
// known to be wrong.
type Forget struct {
	Secret  string `json:"secret"`            // reference
	Version string `json:"version,omitempty"` // only if this is what is cached; empty: whatever is
	Unless  string `json:"unless,omitempty"`  // not if this is what is cached
	Reason  string `json:"reason,omitempty"`
}

// RejectedByDirectory is how the reason of a [Forget] begins that is the
// directory's: it does not accept what the secret holds.
const RejectedByDirectory = "verify: the directory refuses it"

// Forgotten says what was dropped.
type Forgotten struct {
	Secret    string `json:"secret"`            // canonical reference
	Forgotten bool   `json:"forgotten"`         // something was cached, and is no more
	Version   string `json:"version,omitempty"` // what is or was cached, in the store's words
}

// forgetful is a [secrets.Store] that keeps what it fetched: a [secrets.Cache].
type forgetful interface {
	Held(secrets.Ref) (version string, held bool)
	Forget(secrets.Ref)
}

// Forget drops what is cached of a secret, so that the next redemption asks its
// store, though that asked for a pause. It records that first.
func (a *Agent) Forget(peer *audit.Peer, f Forget) (Forgotten, error) {
	ref, err := secrets.ParseRef(f.Secret)
	if err != nil {
		return Forgotten{}, err
	}
	cache, ok := a.settings.Load().Secrets.(forgetful)
	if !ok {
		return Forgotten{}, fmt.Errorf("this agent caches no secrets: %w", errors.ErrUnsupported)
	}
	version, held := cache.Held(ref)
	answer := Forgotten{Secret: ref.String(), Version: version}
	if f.Version != "" && f.Version != version || f.Unless != "" && (!held || f.Unless == version) {
		return answer, nil
	}
	r := audit.Record{Event: audit.SecretForgotten, Secret: answer.Secret, Version: version, Peer: peer, Reason: f.Reason}
	if err := a.trail.Write(r); err != nil {
		return Forgotten{}, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	cache.Forget(ref)
	a.log.Info("a cached secret is forgotten", "secret", answer.Secret, "version", version, "reason", f.Reason)
	answer.Forgotten = held
	return answer, nil
}
