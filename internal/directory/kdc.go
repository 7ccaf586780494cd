package directory

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// maxReply is what is read of a KDC's reply: tickets carry at most 64 KiB of
// authorization data.
const maxReply = 256 << 10

// ticketLifetime is asked for; the KDC gives its own maximum if that is less.
const ticketLifetime = 10 * time.Hour

// askKDC sends a request over TCP and returns the reply, which is not a KRB-ERROR.
func (c *Client) askKDC(ctx context.Context, dc *Controller, request []byte) ([]byte, error) {
	conn, err := c.dial(ctx, dc, c.ports.kerberos)
	if err != nil {
		return nil, fail(Unreachable, err)
	}
	defer conn.Close() //nolint:errcheck // the reply is what matters
	var reply []byte
	err = c.guard(ctx, conn, func() error {
		reply, err = exchange(conn, request)
		return err
	})
	if err != nil {
		return nil, fail(Unreachable, fmt.Errorf("KDC %s: %w", net.JoinHostPort(dc.Addr.String(), c.ports.kerberos), err))
	}
	if kdcErr := parseKRBError(reply, time.Now()); kdcErr != nil {
		return reply, kdcErr
	}
	return reply, nil
}

// exchange is RFC 4120 7.2.2: a length of four bytes before each message.
func exchange(conn io.ReadWriter, request []byte) ([]byte, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > maxReply {
		return nil, fmt.Errorf("a reply of %d bytes", n)
	}
	reply := make([]byte, n)
	_, err := io.ReadFull(conn, reply)
	return reply, err
}

// parseKRBError returns nil if b is not a KRB-ERROR.
func parseKRBError(b []byte, now time.Time) *kdcError {
	var e messages.KRBError
	if e.Unmarshal(b) != nil {
		return nil
	}
	theirs := e.STime.Add(time.Duration(e.Susec) * time.Microsecond)
	return &kdcError{code: e.ErrorCode, status: statusOf(e.EData), ahead: theirs.Sub(now), data: e.EData}
}

// newRequest is the body that AS and TGS requests have in common.
func newRequest(realm string, cname, sname types.PrincipalName) (messages.KDCReqBody, error) {
	nonce, err := rand.Int(rand.Reader, big.NewInt(math.MaxInt32))
	return messages.KDCReqBody{
		KDCOptions: types.NewKrbFlags(), Realm: realm, CName: cname, SName: sname,
		Till: time.Now().UTC().Add(ticketLifetime), Nonce: int(nonce.Int64()), EType: etypes,
	}, err
}

// ticket is a ticket and the session key that came with it.
type ticket struct {
	client  types.PrincipalName
	service types.PrincipalName
	realm   string
	expires time.Time
	etype   int32 // of the ticket: what the service's key is
	ticket  messages.Ticket
	key     types.EncryptionKey
}

// wipe overwrites the session key; of no ticket there is nothing to wipe.
func (t *ticket) wipe() {
	if t != nil {
		clear(t.key.KeyValue)
	}
}

// clone has a session key of its own, to be wiped on its own.
func (t *ticket) clone() *ticket {
	c := *t
	c.key.KeyValue = bytes.Clone(t.key.KeyValue)
	return &c
}

// leadsTo says whether the ticket is to the service. Hosts' names have no case,
// and a third part names what the service serves, not another service.
func (t *ticket) leadsTo(service types.PrincipalName) bool {
	have, want := t.service.NameString, service.NameString
	return len(have) >= 2 && len(want) >= 2 && strings.EqualFold(have[0], want[0]) && strings.EqualFold(have[1], want[1])
}

// take turns the decrypted part of a reply into a ticket, after it was checked
// that it answers this request.
func take(rep messages.KDCRepFields, plain []byte, body messages.KDCReqBody) (*ticket, error) {
	var part messages.EncKDCRepPart
	if err := part.Unmarshal(plain); err != nil {
		return nil, err
	}
	switch {
	case part.Nonce != body.Nonce:
		return nil, errors.New("the KDC's reply is to another request")
	case part.SRealm != body.Realm || rep.Ticket.Realm != body.Realm:
		return nil, fmt.Errorf("a ticket of realm %q", part.SRealm)
	case part.EndTime.Before(part.AuthTime):
		return nil, errors.New("the ticket ends before it begins")
	}
	return &ticket{
		client: rep.CName, service: part.SName, realm: body.Realm, expires: part.EndTime,
		etype: rep.Ticket.EncPart.EType, ticket: rep.Ticket, key: part.Key,
	}, nil
}

// serviceTicket asks for a ticket to the service with the ticket-granting ticket tgt.
func (c *Client) serviceTicket(ctx context.Context, dc *Controller, tgt *ticket, service types.PrincipalName) (*ticket, error) {
	req, err := messages.NewTGSReq(tgt.client, c.realm, &config.Config{LibDefaults: config.LibDefaults{
		DefaultTGSEnctypeIDs: etypes, TicketLifetime: ticketLifetime, NoAddresses: true, Canonicalize: true,
	}}, tgt.ticket, tgt.key, service, false)
	if err != nil {
		return nil, fail(Malformed, err)
	}
	b, err := req.Marshal()
	if err != nil {
		return nil, fail(Malformed, err)
	}
	reply, err := c.askKDC(ctx, dc, b)
	if err != nil {
		return nil, kdcFailure(err)
	}
	var rep messages.TGSRep
	if err := rep.Unmarshal(reply); err != nil {
		return nil, fail(Malformed, err)
	}
	const usage = 8 // TGS-REP, encrypted with the session key: RFC 4120 7.5.1
	plain, err := decrypt(rep.EncPart, tgt.key, usage)
	if err != nil {
		return nil, fail(Malformed, err)
	}
	defer clear(plain)
	t, err := take(rep.KDCRepFields, plain, req.ReqBody)
	if err != nil {
		return nil, fail(Malformed, err)
	}
	if len(t.service.NameString) == 0 || (t.service.NameString[0] == "krbtgt" && service.NameString[0] != "krbtgt") {
		// A referral: the service is of another domain.
		return nil, failf(NoSuchService, "the domain controller refers to %s", t.service.PrincipalNameString())
	}
	return t, nil
}

// kdcFailure gives a KDC's error its kind.
func kdcFailure(err error) error {
	if e := (*kdcError)(nil); errors.As(err, &e) {
		return e.failure()
	}
	return err
}
