package directory_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
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

func configOf(d *adlab.Domain) directory.Config {
	return directory.Config{DNS: []string{d.DNS}, CAFile: d.CAFile}
}

func requestOf(d *adlab.Domain) directory.Request {
	return directory.Request{
		Domain: d.DNSName, NetBIOS: d.NetBIOS, Account: adlab.GMSA,
		UserDomain: d.NetBIOS, User: d.Plugin.Name, Password: d.Plugin.Password,
		SPN: "ldap/" + d.Host,
	}
}

func TestPluginUserBecomesTheGMSAInBothDomains(t *testing.T) {
	l := startLab(t)
	for _, d := range []*adlab.Domain{l.Contoso, l.Fabrikam} {
		var seen []string
		p, err := directory.Prove(t.Context(), configOf(d), requestOf(d), func(s directory.Step) {
			seen = append(seen, s.Name)
			t.Logf("%-22s %8v  %s %v", s.Name, s.Duration.Round(time.Microsecond), s.Detail, s.Err)
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := "webapp01$@" + d.Realm; p.Principal != want {
			t.Errorf("principal %q, want %q", p.Principal, want)
		}
		if want := "u:" + d.NetBIOS + `\webapp01$`; p.AuthzID != want {
			t.Errorf("authzid %q, want %q", p.AuthzID, want)
		}
		if p.Ticket == nil || p.Ticket.Service != "ldap/"+d.Host+"@"+d.Realm || p.Ticket.Encryption != "aes256-cts-hmac-sha1-96" {
			t.Errorf("service ticket %+v", p.Ticket)
		}
		if len(seen) != 7 || len(p.Steps) != 7 {
			t.Errorf("steps %v", seen)
		}
	}
}

