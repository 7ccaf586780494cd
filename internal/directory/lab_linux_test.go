package directory

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// domains are the lab's, started by the first test that needs them and stopped
// after the last one.
var domains struct {
	sync.Once
	lab *adlab.Lab
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if domains.lab != nil {
		if err := domains.lab.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func startLab(t *testing.T) *adlab.Lab {
	t.Helper()
	if err := adlab.Ready(); err != nil {
		t.Skip(err)
	}
	domains.Do(func() {
		domains.lab, domains.err = adlab.Start(context.Background(), adlab.Options{Wait: 5 * time.Minute, Report: lab.Report(t)})
	})
	if domains.err != nil {
		t.Fatal(domains.err)
	}
	return domains.lab
}

func adminOf(t *testing.T, d *adlab.Domain) *adlab.Admin {
	t.Helper()
	a, err := d.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// userName returns a name that no earlier run of the same test on the same lab has taken.
var userName = func() func(prefix string) string {
	var mu sync.Mutex
	n := 0
	return func(prefix string) string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprintf("%s-%d", prefix, n)
	}
}()

func configOf(d *adlab.Domain) Config {
	return Config{DNS: []string{d.DNS}, CAFile: d.CAFile}
}

func requestOf(d *adlab.Domain, u adlab.User) Request {
	return Request{
		Domain: d.DNSName, NetBIOS: d.NetBIOS, Account: adlab.GMSA,
		UserDomain: d.NetBIOS, User: u.Name, Password: u.Password,
		SPN: "ldap/" + d.Host,
	}
}

func prove(t *testing.T, cfg Config, r Request) (*Proof, error) {
	t.Helper()
	return Prove(t.Context(), cfg, r, func(s Step) {
		t.Logf("%-22s %8v  %s", s.Name, s.Duration.Round(time.Microsecond), s.Detail)
	})
}

func checkProof(t *testing.T, d *adlab.Domain, p *Proof, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if want := "webapp01$@" + d.Realm; p.Principal != want {
		t.Errorf("principal %q, want %q", p.Principal, want)
	}
	if want := "u:" + d.NetBIOS + `\webapp01$`; p.AuthzID != want {
		t.Errorf("authzid %q, want %q", p.AuthzID, want)
	}
	if !p.Expires.After(time.Now()) {
		t.Errorf("the ticket ended at %v", p.Expires)
	}
}

func TestPluginUserBecomesTheGMSAOfItsDomain(t *testing.T) {
	l := startLab(t)
	for _, d := range []*adlab.Domain{l.Contoso, l.Fabrikam} {
		t.Run(d.NetBIOS, func(t *testing.T) {
			p, err := prove(t, configOf(d), requestOf(d, d.Plugin))
			checkProof(t, d, p, err)
			if p.Ticket == nil || p.Ticket.Service != "ldap/"+d.Host+"@"+d.Realm || p.Ticket.Encryption != "aes256-cts-hmac-sha1-96" {
				t.Errorf("service ticket %+v", p.Ticket)
			}
			var names []string
			for _, s := range p.Steps {
				names = append(names, s.Name)
			}
			want := []string{StepFindController, StepAuthenticate, StepConnect, StepReadPassword, StepImpersonate, StepWhoAmI, StepServiceTicket}
			if !slices.Equal(names, want) {
				t.Errorf("steps %q", names)
			}
		})
	}
}

func TestNamesAreTakenAsWindowsTakesThem(t *testing.T) {
	d := startLab(t).Contoso
	accented, err := adminOf(t, d).AddUser(userName("plügin"), adlab.Readers)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Request){
		"user principal name":       func(r *Request) { r.User += "@" + d.DNSName },
		"user in another case":      func(r *Request) { r.User = strings.ToUpper(r.User) },
		"user with an accent":       func(r *Request) { r.User, r.Password = accented.Name, accented.Password },
		"account with a dollar":     func(r *Request) { r.Account += "$" },
		"account in another case":   func(r *Request) { r.Account = strings.ToUpper(r.Account) },
		"domain in another case":    func(r *Request) { r.Domain = strings.ToUpper(r.Domain) + "." },
		"user's domain by DNS name": func(r *Request) { r.UserDomain = d.DNSName },
		"no domain of the user":     func(r *Request) { r.UserDomain = "" },
		"the gMSA's own service":    func(r *Request) { r.SPN = "http/webapp01." + d.DNSName + "@" + d.Realm },
	} {
		t.Run(name, func(t *testing.T) {
			r := requestOf(d, d.Plugin)
			change(&r)
			p, err := prove(t, configOf(d), r)
			checkProof(t, d, p, err)
		})
	}
}

func TestWithoutAUsableCertificateLDAPIsSealed(t *testing.T) {
	d := startLab(t).Contoso
	t.Run("not trusted", func(t *testing.T) {
		p, err := prove(t, Config{DNS: []string{d.DNS}}, requestOf(d, d.Plugin))
		checkProof(t, d, p, err)
		if how := p.Steps[2].Detail; !strings.Contains(how, "sealed") || !strings.Contains(how, "not trusted") {
			t.Errorf("connected by %q", how)
		}
	})
	t.Run("no LDAPS", func(t *testing.T) {
		c, err := New(configOf(d), d.DNSName)
		if err != nil {
			t.Fatal(err)
		}
		c.ports.ldaps = "1"
		p := &prover{ctx: t.Context(), c: c, r: requestOf(d, d.Plugin)}
		defer p.wipe()
		err = p.run()
		checkProof(t, d, &p.proof, err)
		if how := p.proof.Steps[2].Detail; !strings.Contains(how, "sealed") || !strings.Contains(how, "refused") {
			t.Errorf("connected by %q", how)
		}
	})
}

// A sealed connection must put tokens together that arrive in pieces, and open
// more than one.
func TestASealedSessionAnswersManyAndLargeRequests(t *testing.T) {
	d := startLab(t).Contoso
	c, err := New(Config{DNS: []string{d.DNS}}, d.DNSName)
	if err != nil {
		t.Fatal(err)
	}
	dc, err := c.FindController(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Authenticate(t.Context(), dc, d.Plugin.Name, d.Plugin.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer id.Wipe()
	s, err := id.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		found, err := s.search(t.Context(), c.baseDN(), 2, 1000, "(objectClass=*)", "*")
		if err != nil || len(found) < 100 {
			t.Fatalf("%d entries, %v", len(found), err)
		}
	}
	if who, err := s.WhoAmI(t.Context()); err != nil || who != `u:CONTOSO\gmsa-plugin` {
		t.Errorf("WhoAmI = %q, %v", who, err)
	}
}

// failureCase is a row of the error table.
type failureCase struct {
	name  string
	cfg   Config
	req   Request
	kind  Kind
	fault error
	words []string // what the error must say
}

func TestEachFailureSaysWhatIsWrong(t *testing.T) {
	l := startLab(t)
	d := l.Contoso
	good := requestOf(d, d.Plugin)
	with := func(change func(*Request)) Request {
		r := good
		change(&r)
		return r
	}
	via := func(change func(*Config)) Config {
		c := configOf(d)
		change(&c)
		return c
	}
	cases := []failureCase{
		{"wrong password", configOf(d), with(func(r *Request) { r.Password = []byte("not-the-password") }), WrongPassword, fault.ErrDenied, []string{"gmsa-plugin", "password is wrong"}},
		{"empty password", configOf(d), with(func(r *Request) { r.Password = nil }), WrongPassword, fault.ErrDenied, []string{"empty"}},
		{"unknown user", configOf(d), with(func(r *Request) { r.User = "nobody" }), UnknownUser, fault.ErrNotFound, []string{"nobody", "no account"}},
		{"user of the other domain", configOf(d), with(func(r *Request) { r.UserDomain = "FABRIKAM" }), UnknownUser, errors.ErrUnsupported, []string{"FABRIKAM", "trusts"}},
		{"outsider", configOf(d), requestOf(d, d.Outsider), NotAuthorized, fault.ErrDenied, []string{"outsider", "may not read", "members of the group " + adlab.Readers}},
		{"no such gMSA", configOf(d), with(func(r *Request) { r.Account = "nothing" }), NoSuchAccount, fault.ErrNotFound, []string{"nothing", "no such group managed service account"}},
		{"a computer in place of a gMSA", configOf(d), with(func(r *Request) { r.Account = "dc1" }), NoSuchAccount, fault.ErrNotFound, []string{"class computer"}},
		{"no such service", configOf(d), with(func(r *Request) { r.SPN = "http/nothing" }), NoSuchService, fault.ErrNotFound, []string{"http/nothing", "service principal name"}},
		{"a service of another realm", configOf(d), with(func(r *Request) { r.SPN = "http/x@FABRIKAM.COM" }), Malformed, fault.ErrMalformed, []string{"FABRIKAM.COM"}},
		{"no such domain", configOf(d), with(func(r *Request) { r.Domain = "nowhere.contoso.com" }), NoSuchDomain, fault.ErrNotFound, []string{"_ldap._tcp.dc._msdcs.nowhere.contoso.com", d.DNS}},
		{"DNS server does not answer", via(func(c *Config) { c.DNS = []string{"127.0.10.9"} }), good, Unreachable, fault.ErrUnavailable, []string{"DNS server 127.0.10.9"}},
		{"domain controller does not answer", via(func(c *Config) { c.Controllers = []string{"dc1.contoso.com=127.0.10.9"} }), good, Unreachable, fault.ErrUnavailable, []string{"dc1.contoso.com", "127.0.10.9:88", "refused"}},
		{"domain controller's name is unknown", via(func(c *Config) { c.Controllers = []string{"dc9.contoso.com"} }), good, Unreachable, fault.ErrUnavailable, []string{"dc9.contoso.com"}},
		{"certificate of another authority", via(func(c *Config) { c.CAFile = l.Fabrikam.CAFile }), good, Untrusted, fault.ErrUnavailable, []string{"certificate is not trusted", "unknown authority"}},
		{"controller by a name that is not its own", via(func(c *Config) { c.Controllers = []string{"contoso.com=" + l.Fabrikam.IP.String()} }), requestOf(l.Fabrikam, l.Fabrikam.Plugin), NoSuchService, fault.ErrNotFound, []string{"service principal name"}},
	}
	flaws := map[adlab.Flaw]Kind{
		adlab.Disabled: AccountDisabled, adlab.Locked: AccountLocked, adlab.AccountExpired: AccountExpired,
		adlab.PasswordExpired: PasswordExpired, adlab.MustChange: MustChangePassword, adlab.LogonHours: LogonHours,
		adlab.SmartCardNeeded: SmartCardRequired, adlab.StalePassword: WrongPassword,
	}
	admin := adminOf(t, d)
	for flaw, kind := range flaws {
		u, err := admin.AddFlawed(t.Context(), userName(string(flaw)), flaw, adlab.Readers)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, failureCase{string(flaw), configOf(d), requestOf(d, u), kind, fault.ErrDenied, []string{u.Name, kind.String()}})
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) { checkFailure(t, tt) })
	}
}

func checkFailure(t *testing.T, tt failureCase) {
	t.Helper()
	p, err := prove(t, tt.cfg, tt.req)
	t.Log(err)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *Error: %v", err)
	}
	if e.Kind != tt.kind || !errors.Is(err, tt.fault) {
		t.Errorf("kind %v, wraps %v: %t", e.Kind, tt.fault, errors.Is(err, tt.fault))
	}
	for _, w := range tt.words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q", w)
		}
	}
	if n := len(p.Steps); n == 0 || !errors.Is(p.Steps[n-1].Err, err) {
		t.Errorf("the last of %d steps does not have the error", n)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Error("the error has more than one line")
	}
	if len(tt.req.Password) > 0 {
		for _, form := range []string{
			string(tt.req.Password), hex.EncodeToString(tt.req.Password),
			strings.TrimRight(base64.StdEncoding.EncodeToString(tt.req.Password), "="),
		} {
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), form) {
				t.Error("the error has the password in it")
			}
		}
	}
}

// Restrictions that Kerberos does not know, or that only other protocols are
// under, are none for what CCG does.
func TestRestrictionsOfOtherProtocolsDoNotMatter(t *testing.T) {
	d := startLab(t).Contoso
	admin := adminOf(t, d)
	for _, flaw := range []adlab.Flaw{adlab.Workstations, adlab.ProtectedUser} {
		t.Run(string(flaw), func(t *testing.T) {
			u, err := admin.AddFlawed(t.Context(), userName(string(flaw)), flaw, adlab.Readers)
			if err != nil {
				t.Fatal(err)
			}
			p, err := prove(t, configOf(d), requestOf(d, u))
			checkProof(t, d, p, err)
		})
	}
}

func TestClockSkewIsMeasured(t *testing.T) {
	l := startLab(t)
	for ahead, word := range map[time.Duration]string{10 * time.Minute: "ahead", -30 * time.Minute: "behind"} {
		t.Run(word, func(t *testing.T) {
			d, err := l.Shifted(t.Context(), l.Contoso, ahead)
			if err != nil {
				t.Fatal(err)
			}
			cfg := configOf(d)
			cfg.Controllers = []string{d.Host + "=" + d.IP.String()} // its DNS names the original's address
			good := requestOf(d, d.Plugin)
			checkFailure(t, failureCase{"", cfg, good, ClockSkew, fault.ErrUnavailable, []string{"clock", word}})
			bad := good
			bad.Password = []byte("not-the-password")
			checkFailure(t, failureCase{"", cfg, bad, WrongPassword, fault.ErrDenied, []string{"password is wrong", "besides", word}})
		})
	}
}

func TestTheKDCSaltsAGMSAsKeysAsWeDo(t *testing.T) {
	d := startLab(t).Contoso
	c, err := New(configOf(d), d.DNSName)
	if err != nil {
		t.Fatal(err)
	}
	dc, err := c.FindController(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A logon with any password is told the salt before it is refused.
	body, err := logonRequest(c.realm, adlab.GMSA+"$")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.askAS(t.Context(), dc, body, nil)
	e := (*kdcError)(nil)
	if !errors.As(err, &e) || e.code != errPreauthRequired {
		t.Fatalf("askAS = %v", err)
	}
	p, err := keyParamsOf(e.data, keyParams{})
	if err != nil {
		t.Fatal(err)
	}
	if want := gmsaSalt(c.realm, adlab.GMSA); p.salt != want {
		t.Errorf("salt %q, want %q", p.salt, want)
	}
}

func TestManagedPasswordIsWiped(t *testing.T) {
	d := startLab(t).Contoso
	c, err := New(configOf(d), d.DNSName)
	if err != nil {
		t.Fatal(err)
	}
	p := &prover{ctx: t.Context(), c: c, r: requestOf(d, d.Plugin)}
	if err := p.run(); err != nil {
		t.Fatal(err)
	}
	p.wipe()
	for name, secret := range map[string][]byte{
		"managed password": p.password.Current, "plugin user's session key": p.user.tgt.key.KeyValue,
		"gMSA's session key": p.gmsa.tgt.key.KeyValue,
	} {
		if len(bytes.Trim(secret, "\x00")) > 0 {
			t.Errorf("the %s is still there", name)
		}
	}
}
