package stores_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
	"github.com/gmsa-agent/gmsa-agent/secrets/stores"
)

func TestEveryKnownSchemeHasAStore(t *testing.T) {
	m, err := stores.New(stores.Config{LocalDir: filepath.Join(t.TempDir(), "secrets")})
	if err != nil {
		t.Fatal(err)
	}
	built := m.Schemes()
	if !slices.Contains(built, local.Scheme) {
		t.Errorf("built in are %q", built)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel() // so that nobody is asked
	for _, scheme := range secrets.Schemes() {
		_, err := m.Fetch(gone, secrets.Ref{Scheme: scheme, Rest: "absent"})
		if !slices.Contains(built, scheme) || err == nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestTheCliWritesWhatTheAgentServes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	m, err := stores.New(stores.Config{LocalDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	agent := secrets.NewCache(m)
	defer agent.Close()
	cli, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"first", "second"} {
		if err := cli.Put(t.Context(), "contoso", secretstest.New("contoso.com", "svc", password)); err != nil {
			t.Fatal(err)
		}
		entries, err := m.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		e, err := secrets.Serving(entries, "contoso.com", "CONTOSO")
		if err != nil {
			t.Fatal(err)
		}
		c, err := agent.Fetch(t.Context(), e.Ref)
		if err != nil || string(c.Password.Bytes()) != password || !c.Serves("CONTOSO.com", "") {
			t.Errorf("fetched %v, %v", c, err)
		}
	}
	if err := cli.Remove(t.Context(), "contoso"); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Fetch(t.Context(), secretstest.Named("contoso")); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("after removal: %v", err)
	}
}
