package azurekeyvault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/azurekeyvault"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// password is the canary: no error and no log may show it.
const password = "C4nary-Passw0rd!"

const host = "contoso.vault.azure.net"

// lab is a double with one vault, which one user-assigned managed identity may
// read from.
type lab struct {
	*azuredouble.Double
	vault *azuredouble.Vault
	id    azuredouble.Identity
}

func newLab(t *testing.T) *lab {
	t.Helper()
	d, err := azuredouble.Start(azuredouble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop() })
	return fill(t, d)
}

// fill makes a lab of a double.
func fill(t *testing.T, d *azuredouble.Double) *lab {
	t.Helper()
	v, err := d.Vault(host)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{d, v, d.Assign(false)}
	v.Allow(l.id.ObjectID)
	v.Set("gmsa", content("svc-gmsa", password))
	return l
}

// config is that of a store which asks as the lab's identity.
func (l *lab) config() azurekeyvault.Config {
	return azurekeyvault.Config{Vaults: []string{host}, Identity: "object_id", ID: l.id.ObjectID}
}

func (l *lab) open(t *testing.T, cfg azurekeyvault.Config) *azurekeyvault.Store {
	t.Helper()
	s, err := azurekeyvault.NewVia(cfg, l.Dial, l.Roots())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(user, password string) string {
	b, _ := json.Marshal(map[string]string{"username": user, "password": password, "domainName": "contoso.com"}) // texts
	return string(b)
}

func ref(t *testing.T, s string) secrets.Ref {
	t.Helper()
	r, err := secrets.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const gmsa = "azurekeyvault://" + host + "/secrets/gmsa"

// expect fetches and checks the password.
func expect(t *testing.T, s secrets.Store, reference, want string) *secrets.Credential {
	t.Helper()
	c, err := s.Fetch(t.Context(), ref(t, reference))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Password.Bytes()); got != want {
		t.Fatalf("fetched %q, want %q", got, want)
	}
	return c
}

// refused fetches, and checks that the error is of exactly one kind, names the
// reference and the causes, and shows nothing of what the servers said.
func refused(t *testing.T, l *lab, s secrets.Store, reference string, kind error, causes ...string) error {
	t.Helper()
	return refusedIn(t, t.Context(), l, s, reference, kind, causes...)
}

func refusedIn(t *testing.T, ctx context.Context, l *lab, s secrets.Store, reference string, kind error, causes ...string) error {
	t.Helper()
	c, err := s.Fetch(ctx, ref(t, reference))
	if err == nil {
		c.Wipe()
		t.Fatalf("fetched, want %v", kind)
	}
	for _, k := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed, errors.ErrUnsupported} {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("errors.Is(err, %q) = %v, want kind %q: %v", k, k != kind, kind, err)
		}
	}
	for _, cause := range append(causes, ref(t, reference).String()) {
		if !strings.Contains(err.Error(), cause) {
			t.Errorf("the error does not say %q: %v", cause, err)
		}
	}
	clean(t, l, fmt.Sprintf("%v %+v %#v", err, err, err))
	return err
}

// clean checks that a text shows no password, no token, and nothing that the
// servers said.
func clean(t *testing.T, l *lab, text string) {
	t.Helper()
	for _, secret := range append(l.Tokens(), password, azuredouble.Canary) {
		if form := secretstest.Leaked(text, []byte(secret)); form != "" {
			t.Errorf("shows %q as %s: %s", secret, form, text)
		}
	}
}

// asked is how many requests a part got.
func (l *lab) asked(s azuredouble.Service) int { return len(l.Requests(s)) }
