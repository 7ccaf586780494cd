package stores

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/ccgdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// startDirectory starts both domains.
func startDirectory(t *testing.T) *adlab.Lab {
	t.Helper()
	if err := adlab.Ready(); err != nil {
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
	return ad
}

// ccg does what CCG does with a container's document: it asks the plugin that
// the document names, and with the plugin user becomes the gMSA. COM is left
// out here: the plugin's part of it is the redemption alone.
func (h *host) ccg(ad *adlab.Lab, document []byte) ccgdouble.Report {
	h.Helper()
	cfg := ccgdouble.Config{Domains: map[string]directory.Config{}}
	for _, d := range []*adlab.Domain{ad.Contoso, ad.Fabrikam} {
		cfg.Domains[d.DNSName] = directory.Config{DNS: []string{d.DNS}, CAFile: d.CAFile}
	}
	ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
	defer cancel()
	return ccgdouble.Fetch(ctx, cfg, plugins{h}, document)
}

// mustBecome checks that CCG becomes the gMSA of a domain as its plugin user.
func (h *host) mustBecome(ad *adlab.Lab, d *adlab.Domain, document []byte) {
	h.Helper()
	r := h.ccg(ad, document)
	if r.Error != "" || r.Principal != adlab.GMSA+"$@"+d.Realm || r.User != d.Plugin.Name || r.Domain != d.DNSName {
		h.Errorf("CCG is %q as %s of %s, want %s$@%s as %s: %+v", r.Principal, r.User, r.Domain, adlab.GMSA, d.Realm, d.Plugin, r)
	}
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

// refused is what the plugin's DLL answers where the agent refuses; which code
// of it is the DLL's suite's matter.
const refused = int32(-0x60000000)

func (p plugins) GetPasswordCredentials(input string) (ccgdouble.Credentials, int32, error) {
	release, err := redeem(p.h.Context(), p.h.plugin(), input)
	if err != nil {
		return ccgdouble.Credentials{}, refused, err
	}
	return ccgdouble.Credentials{Domain: release.Domain, User: release.User, Password: release.Password}, 0, nil
}
