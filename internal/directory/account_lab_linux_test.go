package directory

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// open connects as the user.
func open(t *testing.T, cfg Config, d *adlab.Domain, u adlab.User) *Session {
	t.Helper()
	c, err := New(cfg, d.DNSName)
	if err != nil {
		t.Fatal(err)
	}
	dc, err := c.FindController(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Authenticate(t.Context(), dc, u.Name, u.Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(id.Wipe)
	return openAs(t, id)
}

func openAs(t *testing.T, id *Identity) *Session {
	t.Helper()
	s, err := id.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestADomainIsDescribedAsItsOwnToolsDescribeIt(t *testing.T) {
	l := startLab(t)
	for _, d := range []*adlab.Domain{l.Contoso, l.Fabrikam} {
		doc, err := d.CredentialSpec(t.Context(), adlab.GMSA)
		if err != nil {
			t.Fatal(err)
		}
		var spec struct {
			DomainJoinConfig struct{ Sid, Guid, DnsTreeName, DnsName, NetBiosName string }
		}
		if err := json.Unmarshal(doc, &spec); err != nil {
			t.Fatal(err)
		}
		j := spec.DomainJoinConfig
		want := &Domain{DNSName: j.DnsName, NetBIOS: j.NetBiosName, Forest: j.DnsTreeName, SID: j.Sid, GUID: j.Guid}
		got, err := open(t, configOf(d), d, d.Outsider).Domain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAGMSAIsFoundByItsNames(t *testing.T) {
	d := startLab(t).Contoso
	admin := adminOf(t, d)
	long := userName("a-name-beyond-fifteen")
	if err := admin.AddGMSA(long); err != nil {
		t.Fatal(err)
	}
	logon := userName("short")
	if err := admin.Change(long, "sAMAccountName", logon+"$"); err != nil {
		t.Fatal(err)
	}
	s := open(t, configOf(d), d, d.Outsider)
	for name, want := range map[string]string{
		adlab.GMSA: adlab.GMSA, adlab.GMSA + "$": adlab.GMSA, strings.ToUpper(adlab.GMSA): adlab.GMSA,
		long: logon, logon: logon,
	} {
		a, err := s.ServiceAccount(t.Context(), name)
		if err != nil {
			t.Error(err)
			continue
		}
		if a.Name != want || a.Disabled || a.NoAES || !strings.HasSuffix(a.DN, d.BaseDN) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestTheStateOfAGMSAIsTold(t *testing.T) {
	d := startLab(t).Contoso
	admin := adminOf(t, d)
	name := userName("state")
	if err := admin.AddGMSA(name); err != nil {
		t.Fatal(err)
	}
	for attribute, value := range map[string]string{"userAccountControl": "4098", "msDS-SupportedEncryptionTypes": "4"} {
		if err := admin.Change(name, attribute, value); err != nil {
			t.Fatal(err)
		}
	}
	a, err := open(t, configOf(d), d, d.Outsider).ServiceAccount(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Disabled || !a.NoAES {
		t.Errorf("%+v", a)
	}
}

func TestWhatIsNoGMSAIsSaidToBeWhatItIs(t *testing.T) {
	d := startLab(t).Contoso
	s := open(t, configOf(d), d, d.Outsider)
	for name, words := range map[string][]string{
		"webap01":        {"similar ones are webapp01"},
		"entirely-other": {"there is no such group managed service account"},
		"dc1":            {"CN=DC1", "class computer"},
		adlab.PluginUser: {"CN=gmsa-plugin", "class user"},
		adlab.Readers:    {"CN=" + adlab.Readers, "class group"},
		"*":              {"there is no such"},
		")(objectClass=": {"there is no such"},
		"":               {"not an account's name"},
	} {
		a, err := s.ServiceAccount(t.Context(), name)
		e := (*Error)(nil)
		if !errors.As(err, &e) || (e.Kind != NoSuchAccount && name != "") {
			t.Errorf("%s: %+v, %v", name, a, err)
			continue
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not say %q", name, err, w)
			}
		}
	}
}

// Everything that is said without reading the password must be what reading it says.
func TestWhoMayReadAManagedPasswordIsKnownWithoutReadingIt(t *testing.T) {
	d := startLab(t).Contoso
	admin := adminOf(t, d)
	direct, nested, both, none := userName("direct"), userName("nested"), userName("both"), userName("none")
	outer, inner := userName("outer"), userName("inner")
	users := map[string]adlab.User{}
	for _, name := range []string{direct, nested, both, none} {
		u, err := admin.AddUser(name)
		if err != nil {
			t.Fatal(err)
		}
		users[name] = u
	}
	if err := admin.AddGroup(inner, nested, both); err != nil {
		t.Fatal(err)
	}
	if err := admin.AddGroup(outer, inner); err != nil {
		t.Fatal(err)
	}
	account := userName("access")
	if err := admin.AddGMSA(account, direct, both, outer); err != nil {
		t.Fatal(err)
	}
	s := open(t, configOf(d), d, d.Outsider)
	a, err := s.ServiceAccount(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	for name, through := range map[string]string{
		direct: direct, nested: "members of the group " + outer, both: both, none: "",
	} {
		for _, as := range []string{name, strings.ToUpper(name), name + "@" + d.DNSName} {
			access, err := s.Access(t.Context(), a, as)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if access.Through != nil {
				got = access.Through.String()
			}
			if access.User != name || access.Allowed != (through != "") || got != through {
				t.Errorf("%s: %+v through %q, want %q", as, access, got, through)
			}
			if want := direct + ", " + both + ", members of the group " + outer; access.WhoMay() != want {
				t.Errorf("%s may read it, want %s", access.WhoMay(), want)
			}
		}
		p, err := open(t, configOf(d), d, users[name]).ReadManagedPassword(t.Context(), account)
		if (err == nil) != (through != "") {
			t.Errorf("%s reads it: %v", name, err)
		}
		if err == nil {
			p.Wipe()
		}
	}
	if _, err := s.Access(t.Context(), a, "nobody-at-all"); !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "nobody-at-all") {
		t.Errorf("a user that there is not: %v", err)
	}
}

func TestALongListOfReadersIsCut(t *testing.T) {
	d := startLab(t).Contoso
	admin := adminOf(t, d)
	var many []string
	for range maxReaders + 2 {
		name := userName("many")
		if _, err := admin.AddUser(name); err != nil {
			t.Fatal(err)
		}
		many = append(many, name)
	}
	account := userName("crowd")
	if err := admin.AddGMSA(account, many...); err != nil {
		t.Fatal(err)
	}
	s := open(t, configOf(d), d, d.Outsider)
	a, err := s.ServiceAccount(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	access, err := s.Access(t.Context(), a, many[len(many)-1])
	if err != nil {
		t.Fatal(err)
	}
	if !access.Allowed || len(access.Readers) != maxReaders || access.More != 2 || !strings.HasSuffix(access.WhoMay(), ", 2 more") {
		t.Errorf("%+v", access)
	}
}

func TestTicketsOfKinitAreEnough(t *testing.T) {
	d := startLab(t).Contoso
	dir := t.TempDir()
	granting, service := filepath.Join(dir, "tgt"), filepath.Join(dir, "service")
	if err := d.Kinit(t.Context(), d.Outsider, granting); err != nil {
		t.Fatal(err)
	}
	if err := d.Kvno(t.Context(), granting, service, "ldap/"+d.Host); err != nil {
		t.Fatal(err)
	}
	c, err := New(configOf(d), d.DNSName)
	if err != nil {
		t.Fatal(err)
	}
	dc, err := c.FindController(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{granting, service} {
		cache, err := ReadCredentialCache(file)
		if err != nil {
			t.Fatal(err)
		}
		var services []string
		for _, ticket := range cache.tickets {
			services = append(services, ticket.service.PrincipalNameString())
		}
		if want := map[string]string{granting: "krbtgt/CONTOSO.COM", service: "ldap/" + d.Host}[file]; !slices.Equal(services, []string{want}) {
			t.Errorf("%s has tickets to %q, want %s alone", file, services, want)
		}
		id, err := c.FromCache(dc, cache)
		cache.Wipe()
		if err != nil {
			t.Fatal(err)
		}
		defer id.Wipe()
		if who, err := openAs(t, id).WhoAmI(t.Context()); err != nil || who != `u:CONTOSO\`+adlab.Outsider {
			t.Errorf("%q, %v", who, err)
		}
		_, err = id.ServiceTicket(t.Context(), "cifs/"+d.Host)
		if (err == nil) != (file == granting) {
			t.Errorf("another ticket with %s: %v", file, err)
		}
		if e := (*Error)(nil); err != nil && (!errors.As(err, &e) || e.Kind != NoTicket) {
			t.Error(err)
		}
	}
}
