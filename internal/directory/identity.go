package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Identity is an account that proved who it is: it has a ticket-granting
// ticket, or tickets to services from a credential cache. Wipe it after use.
type Identity struct {
	Principal string    // "gmsa-plugin@CONTOSO.COM", "webapp01$@CONTOSO.COM"
	Expires   time.Time // of the ticket-granting ticket; zero if there is none

	c    *Client
	dc   *Controller
	tgt  *ticket   // nil if there are only the held ones
	held []*ticket // tickets to services
}

// Authenticate logs a user on with Kerberos and its password in UTF-8. The
// user is a logon name ("gmsa-plugin") or a user principal name.
//
// It is Kerberos that decides whether the password is right: a simple bind
// takes an old one for an hour after it was changed. The password is used
// before Authenticate returns, and not kept.
func (c *Client) Authenticate(ctx context.Context, dc *Controller, user string, password []byte) (*Identity, error) {
	return c.identity(ctx, dc, "authenticate "+user, user, password, userSalt(c.realm, user))
}

// Impersonate logs a gMSA on with its managed password.
func (c *Client) Impersonate(ctx context.Context, dc *Controller, p *ManagedPassword) (*Identity, error) {
	password := kerberosPassword(p.Current)
	defer clear(password)
	return c.identity(ctx, dc, "authenticate "+p.Account+"$", p.Account+"$", password, gmsaSalt(c.realm, p.Account))
}

func (c *Client) identity(ctx context.Context, dc *Controller, op, user string, password []byte, salt string) (*Identity, error) {
	if user == "" || len(user) > maxName || strings.ContainsAny(user, "\x00\\/") {
		return nil, c.errorAt(op, dc, failf(Malformed, "not a user's name"))
	}
	tgt, err := c.logon(ctx, dc, user, password, salt)
	if err != nil {
		return nil, c.errorAt(op, dc, err)
	}
	return &Identity{
		Principal: tgt.client.PrincipalNameString() + "@" + tgt.realm, Expires: tgt.expires,
		c: c, dc: dc, tgt: tgt,
	}, nil
}

// maxName bounds names of accounts and services. AD's own bounds are lower.
const maxName = 1024

// Wipe overwrites the identity's session keys; it is of no use afterwards.
func (id *Identity) Wipe() {
	for _, t := range append(id.held, id.tgt) {
		t.wipe()
	}
}

// ticketTo is a ticket to the service: one that is held, else a new one. The
// caller wipes it.
func (id *Identity) ticketTo(ctx context.Context, service types.PrincipalName) (*ticket, error) {
	for _, t := range id.held {
		if t.leadsTo(service) {
			return t.clone(), nil
		}
	}
	if id.tgt == nil {
		return nil, failf(NoTicket, "there is none to %s, and no ticket-granting ticket to get one with", service.PrincipalNameString())
	}
	return id.c.serviceTicket(ctx, id.dc, id.tgt, service)
}

// ServiceTicket is what is known of a ticket to a service.
type ServiceTicket struct {
	Service    string // "http/webapp01.contoso.com@CONTOSO.COM"
	Encryption string // of the service's key: "aes256-cts-hmac-sha1-96"
	Expires    time.Time
}

// ServiceTicket gets a ticket to the service with the service principal name,
// "service/host" or "service/host/name".
func (id *Identity) ServiceTicket(ctx context.Context, spn string) (*ServiceTicket, error) {
	op := "get a ticket to " + spn
	name, err := parseSPN(spn, id.c.realm)
	if err != nil {
		return nil, id.c.errorAt(op, id.dc, fail(Malformed, err))
	}
	t, err := id.ticketTo(ctx, name)
	if err != nil {
		return nil, id.c.errorAt(op, id.dc, err)
	}
	defer t.wipe()
	return &ServiceTicket{
		Service: t.service.PrincipalNameString() + "@" + t.realm, Encryption: etypeName(t.etype), Expires: t.expires,
	}, nil
}

// parseSPN takes "service/host[/name]", with or without "@REALM".
func parseSPN(spn, realm string) (types.PrincipalName, error) {
	name, of, has := strings.Cut(spn, "@")
	if has && !strings.EqualFold(of, realm) {
		return types.PrincipalName{}, fmt.Errorf("the service is of realm %s; trusts are not followed", of)
	}
	parts := strings.Split(name, "/")
	if len(name) > maxName || len(parts) < 2 || len(parts) > 3 {
		return types.PrincipalName{}, errors.New("a service principal name is service/host or service/host/name")
	}
	for _, p := range parts {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return types.PrincipalName{}, errors.New("a part of the service principal name is empty or has blanks")
		}
	}
	return types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: parts}, nil
}

// etypeName is an encryption type by the name that IANA's registry has for it.
func etypeName(id int32) string {
	switch id {
	case 17:
		return "aes128-cts-hmac-sha1-96"
	case 18:
		return "aes256-cts-hmac-sha1-96"
	case 23:
		return "rc4-hmac"
	}
	return fmt.Sprintf("encryption type %d", id)
}
