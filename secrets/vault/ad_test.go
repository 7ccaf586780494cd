package vault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func TestTheDomainIsThatOfTheNameOrOfTheUser(t *testing.T) {
	for in, want := range map[[2]string][2]string{
		{"svc", "CN=svc,OU=A\\,B,DC=contoso,DC=com"}:    {"contoso.com", "svc"},
		{"svc", "cn=svc,dc=corp,dc=contoso,dc=com"}:     {"corp.contoso.com", "svc"},
		{"svc@upn.example", "CN=svc,DC=contoso,DC=com"}: {"contoso.com", "svc@upn.example"},
		{"svc@contoso.com", ""}:                         {"contoso.com", "svc"},
		{`CONTOSO\svc`, ""}:                             {"CONTOSO", "svc"},
		{`CONTOSO\svc`, "CN=svc"}:                       {"CONTOSO", "svc"},
		{"svc", "CN=svc,DC=contoso+DC=evil,DC=com"}:     {"contoso.evil.com", "svc"},
		{"svc", ""}:                                 {},
		{"svc", "CN=svc,O=contoso"}:                 {},
		{"svc", "no name"}:                          {},
		{"svc", "DC=" + strings.Repeat("x", maxDN)}: {},
		{"svc", "CN=svc,DC=contoso/com"}:            {},
		{"", "CN=svc,DC=contoso,DC=com"}:            {},
		{`s"vc`, "CN=svc,DC=contoso,DC=com"}:        {},
	} {
		c, err := account(in[0], in[1], json.RawMessage(`"C4nary\u0021\\"`))
		if want[0] == "" {
			wantError(t, err, fault.ErrMalformed)
			continue
		}
		if err != nil || c.Domain != want[0] || c.User != want[1] || string(c.Password.Bytes()) != `C4nary!\` {
			t.Errorf("%q: %v, %v", in, c, err)
		}
	}
	for _, password := range []string{``, `""`, `null`, `1`, `{}`, `"x"}`, `"x","username":"other"`} {
		if _, err := account("svc@contoso.com", "", json.RawMessage(password)); err == nil {
			t.Errorf("password %s: no error", password)
		}
	}
}

func TestEveryPasswordOfARoleArrivesUnchanged(t *testing.T) {
	for what, password := range secretstest.Passwords() {
		raw, err := json.Marshal(password)
		must(t, err)
		c, err := account("svc", "CN=svc,DC=contoso,DC=com", raw)
		if err != nil || string(c.Password.Bytes()) != password {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAPasswordThatIsRotatedWhileItIsReadIsReadAgain(t *testing.T) {
	for name, c := range map[string]struct {
		rotations int32
		kind      error
	}{"once": {1, nil}, "for ever": {1 << 30, fault.ErrUnavailable}} {
		t.Run(name, func(t *testing.T) {
			var reads atomic.Int32
			d := newDouble(t, map[string]http.HandlerFunc{
				"sys/internal/ui/mounts/ad/creds/contoso": says(200, `{"data":{"type":"ad","path":"ad/"}}`),
				"ad/creds/contoso": func(w http.ResponseWriter, r *http.Request) {
					says(200, fmt.Sprintf(`{"data":{"username":"svc","current_password":"%d"}}`, min(reads.Add(1), c.rotations+1)))(w, r)
				},
				"ad/roles/contoso": func(w http.ResponseWriter, r *http.Request) {
					says(200, fmt.Sprintf(`{"data":{"service_account_name":"svc@contoso.com","last_vault_rotation":"of %d"}}`, min(reads.Load(), c.rotations)))(w, r)
				},
			})
			cred, err := d.store(t).Fetch(t.Context(), ref("ad/creds/contoso"))
			if c.kind != nil {
				wantError(t, err, c.kind, "rotated each time")
				return
			}
			must(t, err)
			if got := string(cred.Password.Bytes()); got != "2" || cred.Version != "of 1" {
				t.Errorf("password %s of version %q", got, cred.Version)
			}
		})
	}
}

func FuzzAccount(f *testing.F) {
	f.Add("svc", "CN=svc,DC=contoso,DC=com", []byte(`"x"`))
	f.Add("svc@contoso.com", "", []byte(`"\ud83d\udd11"`))
	f.Add(`CONTOSO\svc`, `CN=a\2Cb`, []byte(`"`))
	f.Fuzz(func(t *testing.T, user, dn string, password []byte) {
		c, err := account(user, dn, password)
		if err == nil {
			if err := c.Validate(); err != nil {
				t.Errorf("a credential that is none: %v", err)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{good, `{"data":{"path":"kv/","type":"kv","options":{"version":"2"}}}`, `{"data":null}`, `[]`, `{"lease_duration":1e99}`} {
		f.Add([]byte(s), "field")
	}
	f.Fuzz(func(t *testing.T, body []byte, field string) {
		a := &answer{body: append([]byte(nil), body...)}
		e, err := a.open()
		if err != nil {
			return
		}
		a.after(e.LeaseDuration)
		var v version2
		if json.Unmarshal(e.Data, &v) == nil {
			v.gone()
		}
		for _, name := range []string{"", field} {
			if c, err := credential(e.Data, name); err == nil {
				if err := c.Validate(); err != nil {
					t.Errorf("a credential that is none: %v", err)
				}
			}
		}
	})
}
