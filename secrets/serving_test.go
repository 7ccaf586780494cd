package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func TestServingFindsTheOneSecretOfADomain(t *testing.T) {
	entries := []secrets.Entry{
		{Ref: secretstest.Named("contoso"), Domain: "Contoso.com", User: "svc"},
		{Ref: secretstest.Named("fabrikam"), Domain: "FABRIKAM", User: "svc"},
		{Ref: secretstest.Named("twin1"), Domain: "twin.com", User: "a"},
		{Ref: secretstest.Named("twin2"), Domain: "TWIN", User: "b"},
	}
	broken := secrets.Entry{Ref: secretstest.Named("broken"), Err: fmt.Errorf("%w: cut short", fault.ErrMalformed)}
	for _, test := range []struct {
		entries      []secrets.Entry
		dns, netbios string
		want         string
		kind         error
		says         string
	}{
		{entries, "contoso.com", "CONTOSO", "local://contoso", nil, ""},
		{entries, "fabrikam.com", "Fabrikam", "local://fabrikam", nil, ""},
		{append(entries, broken), "contoso.com", "CONTOSO", "local://contoso", nil, ""},
		{entries, "other.com", "OTHER", "", fault.ErrNotFound, "other.com"},
		{nil, "contoso.com", "", "", fault.ErrNotFound, "contoso.com"},
		{entries, "twin.com", "TWIN", "", fault.ErrMalformed, "local://twin1, local://twin2"},
		{append(entries, broken), "other.com", "", "", fault.ErrMalformed, "cut short"},
	} {
		e, err := secrets.Serving(test.entries, test.dns, test.netbios)
		if !errors.Is(err, test.kind) || test.want != "" && e.Ref.String() != test.want {
			t.Errorf("Serving(%q, %q) = %v, %v; want %s, %v", test.dns, test.netbios, e.Ref, err, test.want, test.kind)
		}
		if test.kind == fault.ErrMalformed && errors.Is(err, fault.ErrNotFound) {
			t.Errorf("Serving(%q, %q): none that is readable is said to be none", test.dns, test.netbios)
		}
		if err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("Serving(%q, %q): %v does not say %q", test.dns, test.netbios, err, test.says)
		}
	}
}

// plain hides that a store is more than a Store.
type plain struct{ secrets.Store }

func TestMuxAsksTheStoreOfTheScheme(t *testing.T) {
	local, vault := secretstest.NewMemory(), secretstest.NewMemory()
	m := secrets.NewMux(map[string]secrets.Store{"local": local, "vault": plain{vault}})
	ctx := context.Background()
	l, v := secretstest.Named("contoso"), secrets.Ref{Scheme: "vault", Rest: "kv/contoso"}
	local.Put(l, secretstest.New("contoso.com", "svc", "x"))
	vault.Put(v, secretstest.New("fabrikam.com", "svc", "x"))
	for ref, domain := range map[*secrets.Ref]string{&l: "contoso.com", &v: "fabrikam.com"} {
		c, err := m.Fetch(ctx, *ref)
		if err != nil || c.Domain != domain {
			t.Errorf("%s: %v, %v", ref, c, err)
		}
	}
	if entries, err := m.List(ctx); err != nil || len(entries) != 1 || !entries[0].Ref.Equal(l) {
		t.Errorf("lists %v, %v; want what can be listed", entries, err)
	}
	if m.Current(ctx, l, "no such version") {
		t.Error("what the store knows to be replaced is current")
	}
	if !m.Current(ctx, v, "no such version") {
		t.Error("a store that cannot tell says that it can")
	}
}

func TestMuxSaysWhyASchemeHasNoStore(t *testing.T) {
	m := secrets.NewMux(map[string]secrets.Store{"local": secretstest.NewMemory()})
	for _, scheme := range secrets.Schemes() {
		if scheme == "local" {
			continue
		}
		_, err := m.Fetch(context.Background(), secrets.Ref{Scheme: scheme, Rest: "x"})
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "no store for "+scheme) {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	if _, err := m.Fetch(context.Background(), secrets.Ref{Scheme: "nosuch", Rest: "x"}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("nosuch: %v", err)
	}
}
