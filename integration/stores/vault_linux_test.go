package stores

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/vaultlab"
)

// vault is HashiCorp Vault with a key-value engine of version 2, in which the
// agent's token may read what is below gmsa/.
type vault struct {
	*front
	lab   *vaultlab.Lab
	token string
}

const vaultHost = "vault.contoso.com"

func startVault(h *host) server {
	h.Helper()
	l, err := vaultlab.Start(h.Context(), vaultlab.Options{Report: lab.Report(h)})
	h.must(err)
	h.Cleanup(func() { h.must(l.Stop()) })
	v := &vault{lab: l}
	h.must(l.KV(h.Context(), "kv", 2))
	h.must(l.Policy(h.Context(), "gmsa", `path "kv/data/gmsa/*" { capabilities = ["read"] }`))
	v.token, err = l.Token(h.Context(), map[string]any{"ttl": "1h", "renewable": true}, "gmsa")
	h.must(err)
	h.write(h.path("vault-token"), v.token)

	ca, err := os.ReadFile(l.CAFile)
	h.must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	v.front = h.newFront(l.URL, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, vaultHost)
	v.asks = func(r *http.Request) string {
		name, is := strings.CutPrefix(r.URL.Path, "/v1/kv/data/gmsa/")
		if !is {
			return ""
		}
		return name
	}
	v.throttle = says(http.StatusTooManyRequests, `{"errors":["request path \"kv/data/gmsa/\": rate limit quota exceeded"]}`)
	v.refuse = says(http.StatusForbidden, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`)
	return v
}

func (v *vault) settings() map[string]any {
	return map[string]any{"secrets": map[string]any{"vault": map[string]any{
		"address": "https://" + vaultHost,
		"auth":    map[string]any{"method": "token", "token_file": v.h.path("vault-token")},
	}}}
}

func (v *vault) ref(name string) string { return "vault://kv/gmsa/" + name }

// put stores keys; what is no JSON object is under a key that is none of a
// credential.
func (v *vault) put(name, content string) {
	v.h.Helper()
	keys := map[string]any{}
	if json.Unmarshal([]byte(content), &keys) != nil {
		keys = map[string]any{"note": content}
	}
	v.h.must(v.lab.Write(v.h.Context(), "kv/data/gmsa/"+name, map[string]any{"data": keys}))
}

func (v *vault) remove(name string) {
	v.h.Helper()
	v.h.must(v.lab.Delete(v.h.Context(), "kv/metadata/gmsa/"+name))
}

func (v *vault) credentials() []string { return []string{v.token} }
