package directory

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// probeUser is whom Clock asks about: nobody. The name tells the administrator
// who finds the question in the domain controller's log where it is from.
const probeUser = "gmsa-agent-doctor"

// Clock says how far the domain controller's clock is ahead of this computer's.
// Nobody logs on for it: every refusal of a KDC has its time, and an account
// that is not there is refused. More than a domain tolerates is an error, too.
func (c *Client) Clock(ctx context.Context, dc *Controller) (ahead time.Duration, err error) {
	const op = "compare clocks"
	body, err := logonRequest(c.realm, probeUser)
	if err != nil {
		return 0, c.errorAt(op, dc, fail(Malformed, err))
	}
	_, err = c.askAS(ctx, dc, body, nil)
	e := (*kdcError)(nil)
	switch {
	case err == nil:
		return 0, c.errorAt(op, dc, failf(Malformed, "%s is given a ticket without a proof; what the time is stands in refusals only", probeUser))
	case !errors.As(err, &e):
		return 0, c.errorAt(op, dc, err)
	case max(e.ahead, -e.ahead) > usualSkew:
		return e.ahead, c.errorAt(op, dc, fail(ClockSkew, errors.New(skew(e.ahead))))
	}
	return e.ahead, nil
}

// Transport says how LDAP connections to the domain controller would be
// protected, by the rules of [Identity.Open], without a logon.
func (c *Client) Transport(ctx context.Context, dc *Controller) (string, error) {
	l, err := c.dialLDAP(ctx, dc)
	if err != nil {
		return "", c.errorAt("connect over LDAP", dc, err)
	}
	_ = l.raw.Close() // that it opened is the answer
	if l.secure == nil {
		return fmt.Sprintf("LDAP sealed with Kerberos (LDAPS: %v)", l.tlsErr), nil
	}
	return "LDAPS", nil
}
