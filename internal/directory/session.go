package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/go-ldap/ldap/v3"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/types"
)

func init() {
	// go-ldap writes what it cannot return to standard error.
	ldap.Logger(log.New(io.Discard, "", 0))
}

// Session is an LDAP connection of an identity. It is encrypted, and the
// domain controller has proved who it is.
type Session struct {
	// Transport says how the connection is protected, for people.
	Transport string

	id   *Identity
	raw  net.Conn
	conn *ldap.Conn
}

// Open connects the identity to its domain controller: with TLS and channel
// bindings where TLS works, else on port 389, sealed with Kerberos.
//
// A certificate that does not verify is an error if the client has a CA file.
// Without one it is as good as none: sealing proves the same and needs no certificate.
func (id *Identity) Open(ctx context.Context) (*Session, error) {
	const op = "connect over LDAP"
	service := types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: []string{"ldap", id.dc.Host}}
	t, err := id.ticketTo(ctx, service)
	if err != nil {
		return nil, id.c.errorAt(op, id.dc, err)
	}
	s, err := id.open(ctx, t)
	t.wipe()
	return s, id.c.errorAt(op, id.dc, err)
}

func (id *Identity) open(ctx context.Context, t *ticket) (*Session, error) {
	l, err := id.c.dialLDAP(ctx, id.dc)
	if err != nil {
		return nil, err
	}
	if l.secure != nil {
		s := &Session{Transport: "LDAPS with channel bindings", id: id, raw: l.raw, conn: ldap.NewConn(l.secure, true)}
		return s.bind(ctx, &initiator{ticket: t, bindings: channelBindings(l.secure.ConnectionState().PeerCertificates[0])})
	}
	sealed := &sealedConn{Conn: l.raw}
	s := &Session{
		Transport: "LDAP sealed with Kerberos (LDAPS: " + l.tlsErr.Error() + ")",
		id:        id, raw: l.raw, conn: ldap.NewConn(sealed, false),
	}
	return s.bind(ctx, &initiator{ticket: t, seal: sealed})
}

// line is a connection to a domain controller's LDAP to which nobody is bound.
type line struct {
	raw    net.Conn  // what is to be closed
	secure *tls.Conn // nil: raw has to be sealed
	tlsErr error     // why secure is nil
}

// dialLDAP connects with TLS where that works, else to port 389, on which
// nothing may be said that is not sealed.
func (c *Client) dialLDAP(ctx context.Context, dc *Controller) (line, error) {
	conn, tlsErr := c.dialTLS(ctx, dc)
	if tlsErr == nil {
		return line{raw: conn, secure: conn}, nil
	}
	if f := (*failure)(nil); errors.As(tlsErr, &f) && f.kind == Untrusted && c.roots != nil {
		return line{}, tlsErr
	}
	raw, err := c.dial(ctx, dc, c.ports.ldap)
	if err != nil {
		return line{}, fail(Unreachable, errorList{tlsErr, err})
	}
	return line{raw: raw, tlsErr: tlsErr}, nil
}

// dialTLS connects to the LDAPS port and verifies the certificate.
func (c *Client) dialTLS(ctx context.Context, dc *Controller) (*tls.Conn, error) {
	raw, err := c.dial(ctx, dc, c.ports.ldaps)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{ServerName: dc.Host, RootCAs: c.roots, MinVersion: tls.VersionTLS12})
	err = c.guard(ctx, raw, func() error { return conn.HandshakeContext(ctx) })
	if err == nil {
		return conn, nil
	}
	_ = raw.Close() // the handshake's error is what matters
	if v := (*tls.CertificateVerificationError)(nil); errors.As(err, &v) {
		return nil, fail(Untrusted, v.Err)
	}
	return nil, fmt.Errorf("TLS with port %s: %w", c.ports.ldaps, err)
}

func (s *Session) bind(ctx context.Context, g *initiator) (*Session, error) {
	s.conn.Start()
	if err := s.do(ctx, func() error { return s.conn.GSSAPIBind(g, "", "") }); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// do runs one request, bounded by the client's timeout and ctx.
func (s *Session) do(ctx context.Context, f func() error) error {
	err := s.id.c.guard(ctx, s.raw, f)
	if le := (*ldap.Error)(nil); errors.As(err, &le) && le.ResultCode < ldap.ErrorNetwork {
		return fail(Refused, fmt.Errorf("LDAP %d (%s): %w", le.ResultCode, ldap.LDAPResultCodeMap[le.ResultCode], le.Err))
	}
	return err
}

// Close ends the connection.
func (s *Session) Close() {
	_ = s.conn.Close() // nothing was written that could be lost
}

// WhoAmI returns who the domain controller says that we are: "u:CONTOSO\webapp01$".
func (s *Session) WhoAmI(ctx context.Context) (string, error) {
	var answer *ldap.WhoAmIResult
	err := s.do(ctx, func() (err error) {
		answer, err = s.conn.WhoAmI(nil)
		return err
	})
	if err != nil {
		return "", s.id.c.errorAt("ask who "+s.id.Principal+" is", s.id.dc, err)
	}
	return answer.AuthzID, nil
}

// search returns at most limit entries; that there are more is no error.
func (s *Session) search(ctx context.Context, base string, scope, limit int, filter string, attributes ...string) ([]*ldap.Entry, error) {
	var found []*ldap.Entry
	err := s.do(ctx, func() error {
		r, err := s.conn.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, limit, 0, false, filter, attributes, nil))
		if err == nil || ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
			found, err = r.Entries, nil
		}
		return err
	})
	return found[:min(len(found), limit)], err
}
