package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/grant"
)

// Instances finds and removes CCG instances; see [hcs.Reaper].
type Instances interface {
	List(context.Context) (hcs.Report, error)
	Reap(ctx context.Context, q hcs.Request, before func(hcs.Removal) error) (hcs.Report, error)
}

// maxReap bounds how many instances one request names.
const maxReap = 1000

// Grants implements [hcs.Grants].
func (a *Agent) Grants() map[string]string {
	names := map[string]string{}
	a.grants.All(func(g grant.Grant, _ grant.Uses) bool {
		names[g.Container.ID] = g.Name
		return true
	})
	return names
}

// Serve has administrators' questions about CCG instances answered. Call it
// before ServeControl.
func (a *Agent) Serve(i Instances) { a.instances = i }

// RecordRemoval records that a CCG instance is about to be removed.
func (a *Agent) RecordRemoval(r hcs.Removal) error { return a.recordRemoval(nil, r) }

func (a *Agent) recordRemoval(peer *audit.Peer, r hcs.Removal) error {
	k := hook.Key{ID: r.ID}
	k.Runtime, k.Namespace, _ = strings.Cut(r.Place, "/")
	if err := a.trail.Write(audit.Record{Event: audit.InstanceRemoved, Container: &k, Peer: peer, Reason: r.Reason}); err != nil {
		return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	return nil
}

func (a *Agent) listInstances(ctx context.Context) (hcs.Report, error) {
	if a.instances == nil {
		return hcs.Report{}, errNoInstances
	}
	return a.instances.List(ctx)
}

func (a *Agent) reap(ctx context.Context, peer *audit.Peer, q hcs.Request) (hcs.Report, error) {
	if a.instances == nil {
		return hcs.Report{}, errNoInstances
	}
	if len(q.IDs) > maxReap {
		return hcs.Report{}, fmt.Errorf("%d instances, at most %d in one request: %w", len(q.IDs), maxReap, fault.ErrMalformed)
	}
	return a.instances.Reap(ctx, q, func(r hcs.Removal) error { return a.recordRemoval(peer, r) })
}

var errNoInstances = fmt.Errorf("this agent looks after no CCG instances: %w", errors.ErrUnsupported)
