package docker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/ccgdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/dockerlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// What Docker would hand over for a container leads to a Kerberos ticket of its
// gMSA, and to none once the container is gone.
func TestWhatStandsInTheFolderLeadsToATicket(t *testing.T) {
	if err := adlab.Ready(); err != nil {
		t.Skip(err)
	}
	if err := dockerlab.Debian.Ready(); err != nil {
		t.Skip(err)
	}
	ad, err := adlab.Start(t.Context(), adlab.Options{Wait: 5 * time.Minute, Report: lab.Report(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ad.Stop(); err != nil {
			t.Error(err)
		}
	})
	h := newHost(t, startLab(t, dockerlab.Options{}), nil)
	domains := []*adlab.Domain{ad.Contoso, ad.Fabrikam}
	specs := map[string]any{}
	for _, d := range domains {
		name := strings.ToLower(d.NetBIOS)
		document, err := d.CredentialSpec(t.Context(), adlab.GMSA)
		h.must(err)
		h.write(h.path("specs", name+"-gmsa.json"), string(document))
		put := h.command("secret", "put", "--domain", d.DNSName, "--user", d.Plugin.Name, name+"-plugin")
		put.Stdin = strings.NewReader(string(d.Plugin.Password))
		if out, err := put.CombinedOutput(); err != nil {
			t.Fatalf("secret put: %v: %s", err, out)
		}
		specs[name+"-gmsa"] = map[string]any{"reference": "file://" + name + "-gmsa.json", "secret": "local://" + name + "-plugin"}
	}
	h.configure(map[string]any{"docker": map[string]any{"specs": specs}})
	for _, d := range domains {
		file := strings.ToLower(d.NetBIOS) + "-gmsa.json"
		h.kept(file)
		id := h.Docker(args("run", "--detach", h.asks(file), h.run())...)
		document := h.document(file)
		r := h.ccg(domains, document)
		if r.Error != "" || r.Principal != adlab.GMSA+"$@"+d.Realm || r.User != d.Plugin.Name || r.Domain != d.DNSName {
			t.Errorf("CCG is %q as %s of %s, want %s$@%s as %s: %+v", r.Principal, r.User, r.Domain, adlab.GMSA, d.Realm, d.Plugin, r)
		}
		h.Docker("rm", "--force", id)
		lab.Eventually(t, "the grant's end", func(context.Context) error {
			if r := h.ccg(domains, document); r.Principal != "" || r.Event != ccgdouble.EventPluginFailed {
				return fmt.Errorf("CCG's event is %d, and it is %q", r.Event, r.Principal)
			}
			return nil
		})
	}
}

// ccg does what CCG does with a container's document. COM is left out: the
// plugin's part of it is the redemption alone.
func (h *host) ccg(domains []*adlab.Domain, document []byte) ccgdouble.Report {
	h.Helper()
	cfg := ccgdouble.Config{Domains: map[string]directory.Config{}}
	for _, d := range domains {
		cfg.Domains[d.DNSName] = directory.Config{DNS: []string{d.DNS}, CAFile: d.CAFile}
	}
	ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
	defer cancel()
	return ccgdouble.Fetch(ctx, cfg, plugins{h}, document)
}

// plugins are those that are registered on a host: ours.
type plugins struct{ h *host }

func (p plugins) FindClass(guid string) error {
	if !strings.EqualFold(guid, credspec.PluginGUID) {
		return fmt.Errorf("the class %s is not registered", guid)
	}
	return nil
}

func (p plugins) Activate(guid string) (ccgdouble.Plugin, error) { return p, p.FindClass(guid) }
func (p plugins) Release()                                       {}

// failed is what the plugin's DLL answers where the agent refuses; which code of
// it is the DLL's suite's matter.
const failed = int32(-0x60000000)

func (p plugins) GetPasswordCredentials(input string) (ccgdouble.Credentials, int32, error) {
	release, err := p.h.redeem(input)
	if err != nil {
		return ccgdouble.Credentials{}, failed, err
	}
	return ccgdouble.Credentials{Domain: release.Domain, User: release.User, Password: release.Password}, 0, nil
}
