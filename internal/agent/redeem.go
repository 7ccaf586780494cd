package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// errGrantEnded is what a caller on the plugin channel is told of every token
// that redeems nothing; it does not say whether the token ever did.
var errGrantEnded = &wire.Refusal{Code: wire.CodeUnknownGrant, Message: "the grant is of no live container; the container's document was not admitted by this agent, or the container is gone"}

// Redeem exchanges a grant token for the plugin user's credentials. The caller
// has made sure that peer is CCG's plugin host; authorize is asked again when
// everything else is decided. The credential is the caller's to wipe.
//
// The error is a [*wire.Refusal] for a token without a live grant; else it
// wraps the fault kind of the secret's store or of the policy.
func (a *Agent) Redeem(ctx context.Context, peer *audit.Peer, authorize func() error, token string) (c *secrets.Credential, err error) {
	r := audit.Record{Peer: peer}
	defer func() {
		if err != nil {
			c.Wipe()
			c = nil
			r.Event, r.Reason = audit.RedeemRefused, err.Error()
			a.recordRefusal(r)
		}
	}()
	defer a.recovered("a redemption", &err)
	g, ok := a.grants.Redeemable(token)
	if !ok {
		return nil, errGrantEnded
	}
	r = a.ofHolders(audit.Record{Peer: peer}, g)
	if a.settings.Load().Policy.HostAccount == config.HostAccountRequire {
		// The policy has been changed since the admission.
		return nil, fmt.Errorf("policy.host_account requires the host's own account, so that no secret is released: %w", fault.ErrDenied)
	}
	if err := a.confirmed.wait(ctx, g); err != nil {
		return nil, err
	}
	ref, err := secrets.ParseRef(g.Secret)
	if err != nil {
		return nil, err
	}
	if c, err = a.settings.Load().Secrets.Fetch(ctx, ref); err != nil {
		return nil, err
	}
	// The secret may have been changed since the admission.
	if err := CheckDomain(ref, c, g.Domain, g.NetBIOS); err != nil {
		return c, err
	}
	if err := authorize(); err != nil {
		return c, err
	}
	r.Event, r.Version = audit.RedeemReleased, c.Version
	return c, a.oneStep(func() error {
		// The container may have gone while the secret was fetched. Where others
		// share its document, it is theirs then.
		if g, ok = a.grants.Redeemable(token); !ok {
			return errGrantEnded
		}
		version := r.Version
		r = a.ofHolders(audit.Record{Peer: peer, Event: audit.RedeemReleased, Version: version}, g)
		if err := a.recordStaleSecret(r, c); err != nil {
			return err
		}
		if err := a.trail.Write(r); err != nil {
			return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
		}
		a.grants.Released(g, time.Now())
		return nil
	})
}
