package adlab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"time"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"
)

// adminTimeout bounds each LDAP request of an Admin: on a loaded machine the
// slowest takes a second.
const adminTimeout = 30 * time.Second

// Admin is a connection to a domain as its Administrator.
type Admin struct {
	d    *Domain
	conn *ldap.Conn
	stop func() bool
}

// Admin connects as Administrator over LDAPS. The connection ends with ctx.
func (d *Domain) Admin(ctx context.Context) (*Admin, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.Bind("administrator@"+d.DNSName, string(d.admin)); err != nil {
		return nil, fmt.Errorf("bind to %s as administrator: %w", d.Host, withClose(err, conn))
	}
	return &Admin{d: d, conn: conn, stop: context.AfterFunc(ctx, func() { _ = conn.Close() })}, nil
}

func withClose(err error, conn *ldap.Conn) error {
	_ = conn.Close() // the connection is given up; err is what matters
	return err
}

func (d *Domain) dial(ctx context.Context) (*ldap.Conn, error) {
	pem, err := os.ReadFile(d.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: d.Host}}
	c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(d.IP.String(), "636"))
	if err != nil {
		return nil, err
	}
	conn := ldap.NewConn(c, true)
	conn.SetTimeout(adminTimeout)
	conn.Start()
	return conn, nil
}

// Close ends the connection.
func (a *Admin) Close() {
	a.stop()
	_ = a.conn.Close() // nothing was written that could be lost
}

// userDN is where AddUser puts a user or samba puts a group of the domain.
func (a *Admin) userDN(name string) string { return "CN=" + name + ",CN=Users," + a.d.BaseDN }

// AddUser adds a user with a random password that does not expire, as a member of groups.
func (a *Admin) AddUser(name string, groups ...string) (User, error) {
	u := User{Name: name, Password: newPassword()}
	r := ldap.NewAddRequest(a.userDN(name), nil)
	r.Attribute("objectClass", []string{"user"})
	r.Attribute("sAMAccountName", []string{name})
	r.Attribute("userPrincipalName", []string{name + "@" + a.d.DNSName})
	r.Attribute("unicodePwd", []string{unicodePwd(u.Password)})
	r.Attribute("userAccountControl", []string{uac(normalAccount)})
	if err := a.conn.Add(r); err != nil {
		return User{}, fmt.Errorf("add user %s: %w", name, err)
	}
	for _, g := range groups {
		r := ldap.NewModifyRequest(a.userDN(g), nil)
		r.Add("member", []string{a.userDN(name)})
		if err := a.conn.Modify(r); err != nil {
			return User{}, fmt.Errorf("add %s to group %s: %w", name, g, err)
		}
	}
	return u, nil
}

// SetPassword gives the user a new random password.
func (a *Admin) SetPassword(u *User) error {
	password := newPassword()
	if err := a.replace(a.userDN(u.Name), "unicodePwd", unicodePwd(password)); err != nil {
		return err
	}
	u.Password = password
	return nil
}

// replace sets the values of one attribute; no values remove it.
func (a *Admin) replace(dn, attribute string, values ...string) error {
	r := ldap.NewModifyRequest(dn, nil)
	r.Replace(attribute, values)
	if err := a.conn.Modify(r); err != nil {
		return fmt.Errorf("modify %s of %s: %w", attribute, dn, err)
	}
	return nil
}

// one searches for exactly one entry.
func (a *Admin) one(base string, scope int, filter string, attributes ...string) (*ldap.Entry, error) {
	r, err := a.conn.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 2, 0, false, filter, attributes, nil))
	if err != nil {
		return nil, fmt.Errorf("search %s in %q: %w", filter, base, err)
	}
	if len(r.Entries) != 1 {
		return nil, fmt.Errorf("search %s in %q: %d entries", filter, base, len(r.Entries))
	}
	return r.Entries[0], nil
}

// unicodePwd is the form in which AD takes a password: UTF-16, in quotes.
func unicodePwd(password []byte) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(`"` + string(password) + `"`)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}
