package daemon

import (
	"log/slog"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
)

func TestTheCacheAndItsSecretsOutliveAChangeOfTheConfiguration(t *testing.T) {
	h := newHost(t)
	d := &daemon{log: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { _ = d.close() })
	if err := d.start(h.load()); err != nil {
		t.Fatal(err)
	}
	store, err := local.Open(d.started.Secrets.Local.Dir)
	if err != nil {
		t.Fatal(err)
	}
	cred := &secrets.Credential{Domain: "contoso.com", User: "plugin", Password: secrets.New([]byte("hunter2"))}
	if err := store.Put(t.Context(), "contoso", cred); err != nil {
		t.Fatal(err)
	}
	fetch := func(change func(*config.Config)) {
		t.Helper()
		cfg := h.load()
		change(cfg)
		settings, err := d.assemble(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := secrets.ParseRef("local://contoso")
		if err != nil {
			t.Fatal(err)
		}
		c, err := settings.Secrets.Fetch(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		c.Wipe()
	}
	fetch(func(*config.Config) {})
	fetch(func(c *config.Config) { c.Secrets.Vault.Address = "https://vault.example" })
	if s := d.cache.Stats().Stores["local"]; s.Fetches != 1 || s.Hits != 1 {
		t.Errorf("%+v", s)
	}
	fetch(func(c *config.Config) { c.Secrets.Cache.TTL = 0 })
	if s := d.cache.Stats().Stores["local"]; s.Fetches != 2 {
		t.Errorf("the new setting is not applied: %+v", s)
	}
}
