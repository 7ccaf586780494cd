package stores

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
	"github.com/gmsa-agent/gmsa-agent/integration/netlab"
)

// azure is Azure's double, with a vault that the host's identity may read from.
type azure struct {
	*azuredouble.Double
	h     *host
	vault *azuredouble.Vault
	id    azuredouble.Identity
	way   *netlab.Way // to the vault
}

const azureVault = "contoso.vault.azure.net"

func startAzure(h *host) server {
	d, err := azuredouble.Start(azuredouble.Options{})
	h.must(err)
	h.Cleanup(func() { h.must(d.Stop()) })
	a := &azure{Double: d, h: h}
	a.vault, err = d.Vault(azureVault)
	h.must(err)
	a.id = d.Assign(false)
	a.vault.Allow(a.id.ObjectID)

	at := h.address()
	h.network.Name(azureVault, at)
	a.way = h.forward(netip.AddrPortFrom(at, 443), d.Address)
	h.forward(netip.MustParseAddrPort("169.254.169.254:80"), d.IMDS)
	h.roots = append(h.roots, d.CertificatePEM()...)
	return a
}

func (a *azure) settings() map[string]any {
	return map[string]any{"secrets": map[string]any{"azurekeyvault": map[string]any{
		"vaults": []string{azureVault}, "identity": "object_id", "id": a.id.ObjectID,
	}}}
}

func (a *azure) ref(name string) string   { return "azurekeyvault://" + azureVault + "/secrets/" + name }
func (a *azure) put(name, content string) { a.vault.Set(name, content) }
func (a *azure) remove(name string)       { a.vault.Delete(name) }
func (a *azure) credentials() []string    { return a.Tokens() }

// requests leaves out those without a token: that is how the vault is asked
// where tokens come from.
func (a *azure) requests(name string) (n int) {
	for _, r := range a.Requests(azuredouble.KeyVault) {
		asked, _, _ := strings.Cut(r.Path, "?")
		if r.Header.Get("Authorization") != "" && strings.Trim(asked, "/") == "secrets/"+name {
			n++
		}
	}
	return n
}

func (a *azure) plugin() string { return "{CCC2A336-D7F3-4818-A213-272B7924213E}" }
func (a *azure) input(name string) string {
	return "ObjectId=" + a.id.ObjectID + ";SecretUri=https://" + azureVault + "/secrets/" + name
}

func (a *azure) become(to condition) bool {
	a.h.Helper()
	var f azuredouble.Fault
	shows := azuredouble.Good
	a.vault.Allow(a.id.ObjectID)
	a.way.Cut() // connections that there are have been trusted
	switch to {
	case throttled:
		f = azuredouble.Throttled("1")
	case refuses:
		a.vault.Forbid(a.id.ObjectID)
	case half:
		f = azuredouble.Truncated
	case foreign:
		f = azuredouble.Answer(http.StatusOK, "text/html", portal)
	case untrusted:
		shows = azuredouble.Untrusted
	}
	a.Present(shows)
	a.FailAlways(azuredouble.KeyVault, f)
	if to == stopped {
		return true
	}
	a.h.must(a.way.Mend())
	if to == slow {
		a.way.Hang()
	}
	return true
}
