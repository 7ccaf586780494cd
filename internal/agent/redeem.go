package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/grant"
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
func (a *Agent) Redeem(ctx context.Context, peer *audit.Peer, authorize func() error, token string) (*secrets.Credential, error) {
	r := audit.Record{Peer: peer}
	c, g, err := a.redeem(ctx, &r, token)
	if err == nil {
		err = authorize()
	}
	if err != nil {
		c.Wipe()
		r.Event, r.Reason = audit.RedeemRefused, err.Error()
		a.recordRefusal(r)
		return nil, err
	}
	r.Event, r.Version = audit.RedeemReleased, c.Version
	if err := a.trail.Write(r); err != nil {
		c.Wipe()
		return nil, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	a.grants.Released(g, time.Now())
	return c, nil
}

func (a *Agent) redeem(ctx context.Context, r *audit.Record, token string) (*secrets.Credential, grant.Grant, error) {
	g, ok := a.grants.Redeemable(token)
	if !ok {
		return nil, g, errGrantEnded
	}
	*r = ofGrant(*r, g)
	ref, err := secrets.ParseRef(g.Secret)
	if err != nil {
		return nil, g, err
	}
	c, err := a.settings.Load().Secrets.Fetch(ctx, ref)
	if err != nil {
		return nil, g, err
	}
	// The secret may have been changed since the admission, and the container
	// may have gone while it was fetched.
	if err = CheckDomain(ref, c, g.Domain, g.NetBIOS); err == nil {
		if _, live := a.grants.Redeemable(token); !live {
			err = errGrantEnded
		}
	}
	if err != nil {
		c.Wipe()
		return nil, g, err
	}
	return c, g, nil
}
