package agent

import (
	"context"
	"errors"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/grant"
)

// Ended implements [hook.Tracker].
func (a *Agent) Ended(_ context.Context, k hook.Key, at time.Time, reason string) error {
	a.decisions.removeBefore(k, at)
	return a.oneStep(func() error {
		var errs []error
		for _, g := range a.grants.AllOf(k) {
			if !g.Created.After(at) {
				errs = append(errs, a.end(g, reason))
			}
		}
		return errors.Join(errs...)
	})
}

// Mark implements [hook.Tracker].
func (a *Agent) Mark() hook.Mark { return a.grants.Mark() }

// Live implements [hook.Tracker]. It also confirms the runtime's other grants
// of an earlier agent: their containers exist.
func (a *Agent) Live(_ context.Context, runtime string, asOf hook.Mark, keys []hook.Key) error {
	exists := make(map[hook.Key]bool, len(keys))
	for _, k := range keys {
		exists[k] = true
	}
	var errs []error
	for _, g := range a.grants.Before(runtime, asOf) {
		if exists[g.Container] {
			continue
		}
		errs = append(errs, a.oneStep(func() error {
			if _, live := a.grants.Live(g); !live {
				return nil
			}
			return a.end(g, "the container is gone")
		}))
	}
	a.confirmed.listed(runtime)
	return errors.Join(errs...)
}

// Lost implements [hook.Tracker].
func (a *Agent) Lost(_ context.Context, k hook.Key, reason string) error {
	r := audit.Record{Event: audit.InjectionLost, Container: &k, Reason: reason}
	if g, _, ok := a.grants.Of(k); ok {
		r = ofGrant(r, g)
	}
	a.log.Error("a container runs without its gMSA: install the shim wrapper", "container", k, "reason", reason)
	return a.trail.Write(r)
}

// end revokes a grant: record first, but a record that cannot be written does
// not keep the grant alive. The caller holds the step.
func (a *Agent) end(g grant.Grant, reason string) error {
	a.recordEnd(g, reason)
	return a.grants.End(g)
}

func (a *Agent) recordEnd(g grant.Grant, reason string) {
	if err := a.trail.Write(ofGrant(audit.Record{Event: audit.GrantRevoked, Reason: reason}, g)); err != nil {
		a.log.Error("no audit record of a revocation", "container", g.Container, "grant", g.Name, "error", err)
	}
}

func ofGrant(r audit.Record, g grant.Grant) audit.Record {
	r.Container, r.Image, r.Reference, r.Digest = &g.Container, g.Image, g.Reference, g.Source
	r.Domain, r.Account, r.Grant, r.Secret = g.Domain, g.Account, g.Name, g.Secret
	r.Place = g.Place
	return r
}
