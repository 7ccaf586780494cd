package directory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// cacheEntry is an entry of a credential cache to write.
type cacheEntry struct {
	client, realm   string // default: the cache's own
	service, of     string // "krbtgt/CONTOSO.COM", its realm
	ends            time.Time
	keyType         int32
	key             []byte
	userToUser      bool
	ticket          []byte // in place of a good one
	addresses, data int    // how many, each of two bytes
}

type cacheWriter struct{ bytes.Buffer }

func (w *cacheWriter) u16(n int)     { w.Write(binary.BigEndian.AppendUint16(nil, uint16(n))) }
func (w *cacheWriter) u32(n int64)   { w.Write(binary.BigEndian.AppendUint32(nil, uint32(n))) }
func (w *cacheWriter) data(b []byte) { w.u32(int64(len(b))); w.Write(b) }

func (w *cacheWriter) principal(name, realm string) {
	w.u32(1)
	parts := strings.Split(name, "/")
	w.u32(int64(len(parts)))
	w.data([]byte(realm))
	for _, p := range parts {
		w.data([]byte(p))
	}
}

// credentialCache writes a cache of alice@CONTOSO.COM.
func credentialCache(t testing.TB, version byte, entries ...cacheEntry) []byte {
	t.Helper()
	w := &cacheWriter{}
	w.Write([]byte{5, version})
	if version == 4 {
		w.u16(12) // one field: the KDC's clock
		w.u16(1)
		w.u16(8)
		w.u32(0)
		w.u32(0)
	}
	w.principal("alice", "CONTOSO.COM")
	for _, e := range entries {
		if e.client == "" {
			e.client, e.realm = "alice", "CONTOSO.COM"
		}
		w.principal(e.client, e.realm)
		w.principal(e.service, e.of)
		w.u16(int(e.keyType))
		if version == 3 {
			w.u16(int(e.keyType))
		}
		w.data(e.key)
		for _, at := range []time.Time{time.Unix(0, 0), time.Unix(0, 0), e.ends, time.Unix(0, 0)} {
			w.u32(at.Unix())
		}
		w.WriteByte(map[bool]byte{true: 1}[e.userToUser])
		w.u32(0)
		for _, n := range []int{e.addresses, e.data} {
			w.u32(int64(n))
			for range n {
				w.u16(2)
				w.data([]byte("xx"))
			}
		}
		body := e.ticket
		if body == nil {
			ticket := messages.Ticket{
				TktVNO: 5, Realm: e.of, SName: types.PrincipalName{NameType: 2, NameString: strings.Split(e.service, "/")},
				EncPart: types.EncryptedData{EType: 18, Cipher: []byte("opaque")},
			}
			var err error
			if body, err = ticket.Marshal(); err != nil {
				t.Fatal(err)
			}
		}
		w.data(body)
		w.data(nil)
	}
	return w.Bytes()
}

func aes256() []byte { return bytes.Repeat([]byte{7}, 32) }

func granting(ends time.Time) cacheEntry {
	return cacheEntry{service: "krbtgt/CONTOSO.COM", of: "CONTOSO.COM", ends: ends, keyType: 18, key: aes256()}
}

func TestACredentialCacheHoldsTicketsOfItsPrincipal(t *testing.T) {
	later := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	setting := cacheEntry{service: "krb5_ccache_conf_data/fast_avail", of: "X-CACHECONF:", ticket: []byte("yes")}
	foreign := granting(later)
	foreign.client, foreign.realm = "bob", "CONTOSO.COM"
	toUser := granting(later)
	toUser.userToUser = true
	bound := granting(later)
	bound.addresses, bound.data = 2, 3
	for _, version := range []byte{3, 4} {
		c, err := parseCache(credentialCache(t, version, setting, foreign, toUser, bound))
		if err != nil {
			t.Fatal(err)
		}
		if c.Principal != "alice@CONTOSO.COM" || c.Realm != "CONTOSO.COM" || len(c.tickets) != 1 {
			t.Fatalf("version %d: %v with %d tickets", version, c, len(c.tickets))
		}
		if got := c.tickets[0]; !got.expires.Equal(later) || got.key.KeyType != 18 || !bytes.Equal(got.key.KeyValue, aes256()) || got.etype != 18 {
			t.Errorf("version %d: %+v", version, got)
		}
	}
}

func TestMalformedCredentialCachesAreRefused(t *testing.T) {
	good := credentialCache(t, 4, granting(time.Now()))
	whole := len(credentialCache(t, 4)) // an end between entries is no damage
	for n := range good {
		if _, err := parseCache(good[:n]); err == nil && n != whole {
			t.Errorf("the first %d of %d bytes are taken", n, len(good))
		}
	}
	bad := granting(time.Now())
	bad.ticket = []byte("not a ticket")
	for name, b := range map[string][]byte{
		"a keytab":              {5, 2, 0, 0},
		"version 2":             append([]byte{5, 2}, good[2:]...),
		"version 5":             append([]byte{5, 5}, good[2:]...),
		"a ticket that is none": credentialCache(t, 4, bad),
		"a count that is huge":  append(append([]byte{}, good[:18]...), 0xff, 0xff, 0xff, 0xff),
	} {
		if c, err := parseCache(b); err == nil {
			t.Errorf("%s: %v", name, c)
		}
	}
}

func TestACacheIsOfUseForItsOwnRealmWithATicketThatLasts(t *testing.T) {
	now := time.Now()
	c, err := New(Config{}, "contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	dc := &Controller{Host: "dc1.contoso.com", Addr: loopback}
	toDC := func(ends time.Time) cacheEntry {
		return cacheEntry{service: "ldap/DC1.contoso.com", of: "CONTOSO.COM", ends: ends, keyType: 18, key: aes256()}
	}
	rc4 := granting(now.Add(time.Hour))
	rc4.keyType, rc4.key = 23, make([]byte, 16)
	short := granting(now.Add(time.Hour))
	short.key = short.key[:3]
	crossRealm := granting(now.Add(time.Hour))
	crossRealm.service = "krbtgt/FABRIKAM.COM"
	for name, tt := range map[string]struct {
		entries []cacheEntry
		says    string // empty: it is of use
	}{
		"a ticket-granting ticket":        {[]cacheEntry{granting(now.Add(time.Hour))}, ""},
		"one that ended and one not":      {[]cacheEntry{granting(now.Add(-time.Hour)), granting(now.Add(time.Hour))}, ""},
		"a ticket to LDAP alone":          {[]cacheEntry{toDC(now.Add(time.Hour))}, ""},
		"one that ended":                  {[]cacheEntry{granting(now.Add(-time.Hour))}, "krbtgt/CONTOSO.COM ended at"},
		"to LDAP, ended":                  {[]cacheEntry{toDC(now.Add(-time.Hour))}, "ldap/DC1.contoso.com ended at"},
		"a session key of RC4":            {[]cacheEntry{rc4}, "rc4-hmac"},
		"a session key that is too short": {[]cacheEntry{short}, "wrong length"},
		"a ticket to another realm":       {[]cacheEntry{crossRealm}, "none to krbtgt/CONTOSO.COM"},
		"nothing":                         {nil, "none to krbtgt/CONTOSO.COM"},
	} {
		cache, err := parseCache(credentialCache(t, 4, tt.entries...))
		if err != nil {
			t.Fatal(err)
		}
		id, err := c.FromCache(dc, cache)
		if tt.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			cache.Wipe()
			for _, held := range append(id.held, id.tgt) {
				if held != nil && !bytes.Equal(held.key.KeyValue, aes256()) {
					t.Errorf("%s: the identity's key is wiped with the cache", name)
				}
			}
			id.Wipe()
			continue
		}
		e := (*Error)(nil)
		if !errors.As(err, &e) || e.Kind != NoTicket || !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v does not say %q", name, err, tt.says)
		}
	}
	other, err := New(Config{}, "fabrikam.com")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := parseCache(credentialCache(t, 4, crossRealm))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.FromCache(dc, cache); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "trusts are not followed") {
		t.Error(err)
	}
}

func TestCachesAreNamedAsKerberosNamesThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cc")
	if err := os.WriteFile(file, credentialCache(t, 4, granting(time.Now())), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, "FILE:" + file} {
		c, err := ReadCredentialCache(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.Path != file {
			t.Errorf("%s is in %s", name, c.Path)
		}
		c.Wipe()
	}
	for name, want := range map[string]error{
		"":                     fault.ErrNotFound,
		file + "x":             fault.ErrNotFound,
		"KEYRING:persistent:0": errors.ErrUnsupported,
		"KCM:":                 errors.ErrUnsupported,
		"DIR:/tmp/x":           errors.ErrUnsupported,
		filepath.Dir(file):     fault.ErrMalformed,
	} {
		if _, err := ReadCredentialCache(name); !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := os.WriteFile(file, make([]byte, maxCache+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCredentialCache(file); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a cache that is too large: %v", err)
	}
	t.Setenv(envCache, "FILE:/somewhere")
	if got := DefaultCredentialCache(); got != "FILE:/somewhere" {
		t.Errorf("the default is %q", got)
	}
}

func FuzzCredentialCache(f *testing.F) {
	f.Add(credentialCache(f, 3, granting(time.Now())))
	two := granting(time.Now())
	two.addresses, two.data = 1, 1
	f.Add(credentialCache(f, 4, two, cacheEntry{service: "x", of: "X-CACHECONF:"}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if c, err := parseCache(b); err == nil {
			c.Wipe()
		}
	})
}
