package azurekeyvault

import (
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/google/go-cmp/cmp"
)

func TestAuthParams(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`a="b", c="d"`:     {"a": "b", "c": "d"},
		`a="b" c=d`:        {"a": "b", "c": "d"},
		`A = "b,c" , d=""`: {"a": "b,c", "d": ""},
		`a=b,c=d`:          {"a": "b", "c": "d"},
		`a="x=y z"`:        {"a": "x=y z"},
		``:                 nil,
		`a`:                nil,
		`a="b`:             nil,
		`a="b", a="c"`:     nil,
		`a="b", A="c"`:     nil,
		`a="\"b"`:          nil,
		`="b"`:             nil,
		`a b="c"`:          nil,
	} {
		got, ok := authParams(text)
		if ok != (want != nil) || ok && !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, ok)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer authorization="https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47", resource="https://vault.azure.net"`)
	f.Add(`Bearer realm="", error="insufficient_claims", claims="e30="`)
	f.Add(`Bearer authorization="//", scope=x`)
	to := target{host: "contoso.vault.azure.net", cloud: clouds[0], name: "gmsa"}
	f.Fuzz(func(t *testing.T, header string) {
		got, err := to.vet(http.Header{"Www-Authenticate": {header}})
		if err != nil {
			return
		}
		switch {
		case got == "", strings.HasPrefix(got, `Bearer realm="", error="insufficient_claims", claims="`):
		case strings.HasPrefix(got, `Bearer authorization="https://login.microsoftonline.com/`) && strings.HasSuffix(got, `", resource="https://vault.azure.net"`):
		default:
			t.Errorf("%q became %q", header, got)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"error":{"code":"Forbidden","message":"x","innererror":{"code":"ForbiddenByRbac"}}}`))
	f.Add([]byte(`{"error":"invalid_client","error_codes":[700027]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, c := range []codes{vaultAnswer(body), oauthAnswer(body)} {
			if len(c.String()) > 32 || len(c.meaning()) > 128 || len(c.json()) > 256 {
				t.Errorf("%q became %+v", body, c)
			}
		}
	})
}

func FuzzID(f *testing.F) {
	f.Add("https://contoso.vault.azure.net/secrets/gmsa/0123456789abcdef0123456789abcdef")
	f.Add("https://contoso.vault.azure.net/secrets/gmsa")
	to := target{host: "contoso.vault.azure.net", name: "gmsa"}
	f.Fuzz(func(t *testing.T, id string) {
		version, ok := to.answers((*azsecrets.ID)(&id))
		if ok && (!isVersion(version) || !strings.HasPrefix(strings.ToLower(id), "https://contoso.vault.azure.net/secrets/gmsa/")) {
			t.Errorf("%q is version %q", id, version)
		}
	})
}

func TestCloudsOfHosts(t *testing.T) {
	for host, audience := range map[string]string{
		"contoso.vault.azure.net":                    "https://vault.azure.net",
		"c-0-n.vault.azure.cn":                       "https://vault.azure.cn",
		"contoso.vault.usgovcloudapi.net":            "https://vault.usgovcloudapi.net",
		"vault.azure.net":                            "",
		"evil-vault.azure.net":                       "",
		"a.b.vault.azure.net":                        "",
		"con--toso.vault.azure.net":                  "",
		"0contoso.vault.azure.net":                   "",
		"contoso-.vault.azure.net":                   "",
		"co.vault.azure.net":                         "",
		strings.Repeat("a", 25) + ".vault.azure.net": "",
		"contoso.vault.azure.net.evil.example":       "",
		"contoso.vault.azure.net:443":                "",
		"contoso.managedhsm.azure.net":               "",
		"contoso.vault.microsoftazure.de":            "",
	} {
		c, err := cloudOf(host)
		if (err == nil) != (audience != "") || c.audience != audience {
			t.Errorf("%s: %+v, %v", host, c, err)
		}
	}
}
