package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// CredentialCache is what kinit leaves: the tickets of one principal. It is as
// good as a password for as long as they last: Wipe it after use.
type CredentialCache struct {
	Path      string // the file
	Principal string // "alice@CONTOSO.COM"
	Realm     string // "CONTOSO.COM"

	tickets []*ticket
}

// String has no secret.
func (c *CredentialCache) String() string { return "credential cache of " + c.Principal }

// GoString has no secret.
func (c *CredentialCache) GoString() string { return c.String() }

// Wipe overwrites the session keys.
func (c *CredentialCache) Wipe() {
	for _, t := range c.tickets {
		t.wipe()
	}
}

// envCache is the environment's name for the user's credential cache.
const envCache = "KRB5CCNAME"

// DefaultCredentialCache is the credential cache that MIT Kerberos takes:
// $KRB5CCNAME, else on Unix /tmp/krb5cc_UID. It is empty where there is no
// default. The system's krb5.conf, which can name another, is not read.
func DefaultCredentialCache() string {
	if name := os.Getenv(envCache); name != "" {
		return name
	}
	if uid := os.Getuid(); uid >= 0 { // -1 on Windows
		return fmt.Sprintf("/tmp/krb5cc_%d", uid)
	}
	return ""
}

// maxCache is what is read of a credential cache. A ticket has at most 64 KiB
// of authorization data; few caches hold more than a dozen.
const maxCache = 1 << 20

// ReadCredentialCache reads a credential cache of type FILE, given by its path
// with or without "FILE:" before it. Caches of other types (KEYRING, KCM, DIR,
// API, MEMORY) are out of reach: only the system's Kerberos libraries know them.
func ReadCredentialCache(name string) (*CredentialCache, error) {
	e := &Error{Op: "read the credential cache " + name}
	path, err := cachePath(name)
	if err != nil {
		return nil, errorOf(e, nil, err)
	}
	b, err := readCacheFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errorOf(e, nil, fail(NoTicket, err))
	}
	if err != nil {
		return nil, errorOf(e, nil, fail(Malformed, err))
	}
	defer clear(b)
	c, err := parseCache(b)
	if err != nil {
		return nil, errorOf(e, nil, fail(Malformed, err))
	}
	c.Path = path
	return c, nil
}

func cachePath(name string) (string, error) {
	if name == "" {
		return "", failf(NoTicket, "none is named: %s is not set", envCache)
	}
	kind, rest, has := strings.Cut(name, ":")
	switch {
	case has && kind == "FILE":
		return rest, nil
	case has && len(kind) > 1 && strings.ToUpper(kind) == kind && !strings.ContainsAny(kind, `/\.`): // "C:" is a drive
		return "", fail(NoTicket, fmt.Errorf("caches of type %s are not read, only files are: %w", kind, errors.ErrUnsupported))
	}
	return name, nil
}

func readCacheFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()                  //nolint:errcheck // only read
	b := make([]byte, 0, maxCache+1) // never grows, so no copy is left behind
	n, err := io.ReadFull(f, b[:cap(b)])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if n > maxCache {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxCache)
	}
	return b[:n], nil
}

// parseCache reads MIT Kerberos's file format in its versions 3 and 4, which
// are big-endian on every machine:
// https://web.mit.edu/kerberos/krb5-latest/doc/formats/ccache_file_format.html
// What it returns does not share b's memory. Entries that are no tickets
// (settings, tickets of user-to-user authentication) are left out.
func parseCache(b []byte) (*CredentialCache, error) {
	const magic, oldest, newest = 5, 3, 4
	if len(b) < 2 || b[0] != magic {
		return nil, errors.New("not a credential cache")
	}
	version := b[1]
	if version < oldest || version > newest {
		return nil, fmt.Errorf("a credential cache of version %d", version)
	}
	r := &cacheReader{rest: b[2:], version: version}
	if version >= 4 {
		r.take(int(r.uint16())) // header: how far the KDC's clock was ahead
	}
	owner, realm := r.principal()
	if r.failed || len(owner.NameString) == 0 {
		return nil, errCache
	}
	c := &CredentialCache{Principal: owner.PrincipalNameString() + "@" + realm, Realm: realm}
	for len(r.rest) > 0 {
		t, client, err := r.ticket()
		switch {
		case err != nil:
			c.Wipe()
			return nil, err
		case client != c.Principal:
			t.wipe() // of another principal: constrained delegation puts such tickets there
		default:
			c.tickets = append(c.tickets, t)
		}
	}
	return c, nil
}

var errCache = errors.New("malformed credential cache")

// cacheReader takes fields off the front. Once it failed, it reads nothing but zeros.
type cacheReader struct {
	rest    []byte
	version byte
	failed  bool
}

func (r *cacheReader) take(n int) []byte {
	if r.failed || n < 0 || n > len(r.rest) {
		r.failed, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *cacheReader) uint8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *cacheReader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *cacheReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// count reads how many things follow, each of which has least bytes at least.
func (r *cacheReader) count(least int) int {
	n := int64(r.uint32())
	if n*int64(least) > int64(len(r.rest)) {
		r.take(-1)
		return 0
	}
	return int(n)
}

func (r *cacheReader) data() []byte { return r.take(r.count(1)) }

// at reads a time; they are seconds since 1970, without sign since 2038 came into sight.
func (r *cacheReader) at() time.Time { return time.Unix(int64(r.uint32()), 0).UTC() }

func (r *cacheReader) principal() (types.PrincipalName, string) {
	p := types.PrincipalName{NameType: int32(r.uint32())}
	n := r.count(4)
	realm := string(r.data())
	for range n {
		p.NameString = append(p.NameString, string(r.data()))
	}
	return p, realm
}

// ticket reads one entry, and whose it is; nil and nobody's if it is no ticket.
func (r *cacheReader) ticket() (t *ticket, client string, err error) {
	const settings = "X-CACHECONF:" // the realm of entries that hold the cache's own settings
	owner, realm := r.principal()
	service, of := r.principal()
	keyType := int32(r.uint16())
	if r.version == 3 {
		keyType = int32(r.uint16()) // written twice
	}
	key := r.data()
	r.at() // of authentication
	r.at() // start
	ends := r.at()
	r.at() // renewable until
	userToUser := r.uint8() != 0
	r.uint32()    // flags
	for range 2 { // addresses, authorization data
		for range r.count(2 + 4) {
			r.uint16()
			r.data()
		}
	}
	body := r.data()
	r.data() // second ticket
	if r.failed {
		return nil, "", errCache
	}
	if of == settings || userToUser {
		return nil, "", nil
	}
	t = &ticket{client: owner, service: service, realm: of, expires: ends}
	if err := t.ticket.Unmarshal(slices.Clone(body)); err != nil {
		return nil, "", fmt.Errorf("the ticket to %s@%s: %w", service.PrincipalNameString(), of, err)
	}
	t.etype = t.ticket.EncPart.EType
	t.key = types.EncryptionKey{KeyType: keyType, KeyValue: slices.Clone(key)}
	return t, owner.PrincipalNameString() + "@" + realm, nil
}

// FromCache is the identity of a credential cache's principal: with its
// ticket-granting ticket, or where it has none for this domain, with the
// tickets to its domain controllers' LDAP service. Nobody is asked yet.
func (c *Client) FromCache(dc *Controller, cache *CredentialCache) (*Identity, error) {
	op := "use the credential cache of " + cache.Principal
	if !strings.EqualFold(cache.Realm, c.realm) {
		return nil, c.errorAt(op, dc, fail(NoTicket, fmt.Errorf("it is of realm %s; trusts are not followed: %w", cache.Realm, errors.ErrUnsupported)))
	}
	id := &Identity{Principal: cache.Principal, c: c, dc: dc}
	var why []string
	for _, t := range cache.tickets {
		name := t.service.NameString
		if !strings.EqualFold(t.realm, c.realm) || len(name) < 2 {
			continue
		}
		granting := name[0] == "krbtgt" && strings.EqualFold(name[1], c.realm)
		if !granting && !strings.EqualFold(name[0], "ldap") {
			continue
		}
		if fault := t.unusable(time.Now()); fault != "" {
			why = append(why, fmt.Sprintf("the one to %s %s", t.service.PrincipalNameString(), fault))
			continue
		}
		if !granting {
			id.held = append(id.held, t.clone())
			continue
		}
		if id.tgt == nil || t.expires.After(id.tgt.expires) {
			id.tgt.wipe()
			id.tgt, id.Expires = t.clone(), t.expires
		}
	}
	if id.tgt == nil && len(id.held) == 0 {
		if len(why) == 0 {
			why = []string{"there is none to krbtgt/" + c.realm + " and none to ldap/" + dc.Host}
		}
		return nil, c.errorAt(op, dc, failf(NoTicket, "%s", strings.Join(why, "; ")))
	}
	return id, nil
}

// unusable says why the ticket cannot be used; empty if it can.
func (t *ticket) unusable(now time.Time) string {
	switch {
	case !t.expires.After(now):
		return "ended at " + t.expires.Format(time.RFC3339)
	case !slices.Contains(etypes, t.key.KeyType):
		return fmt.Sprintf("has a session key of %s, which is not used here", etypeName(t.key.KeyType))
	case len(t.key.KeyValue) != keySize(t.key.KeyType):
		return "has a session key of the wrong length"
	}
	return ""
}
