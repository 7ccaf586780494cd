package daemon

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestACachedCredentialSpecOutlivesAChangeOfTheConfiguration(t *testing.T) {
	h := newHost(t)
	h.write("credential_specs: {cache: {fresh: 0s}}\n")
	d := &daemon{log: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { _ = d.close() })
	if err := d.start(h.load()); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, credspectest.Document)
	}))
	defer web.Close()
	ref, err := credspec.ParseRef(web.URL + "/webapp01.json")
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(change func(*config.Config)) (credspec.Document, error) {
		t.Helper()
		cfg := h.load()
		change(cfg)
		settings, err := d.assemble(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return settings.Specs.Resolve(t.Context(), ref)
	}
	unchanged := func(*config.Config) {}
	if doc, err := resolve(unchanged); err != nil || doc.Stale != nil {
		t.Fatalf("%v, %v", doc, err)
	}
	web.Close()
	if doc, err := resolve(unchanged); err != nil || string(doc.Data) != credspectest.Document || doc.Stale == nil {
		t.Errorf("the cache is gone: %v, %v", doc, err)
	}
	s := d.agent.Status()
	if len(s.Documents) != 1 || s.Documents[0].Reference != ref.String() || s.Documents[0].Stale == "" || s.Documents[0].Confirmed.IsZero() ||
		len(s.Sources) != 1 || s.Sources[0].Scheme != "http" || s.Sources[0].Requests != 2 || s.Sources[0].Failures != 1 || s.SpecCache.Entries != 1 {
		t.Errorf("%+v", s)
	}
	if doc, err := resolve(func(c *config.Config) { c.CredentialSpecs.Cache.Stale = 0 }); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("the new setting is not applied: %v, %v", doc, err)
	}
	other := filepath.Join(h.dir, "other")
	elsewhere := func(c *config.Config) { c.CredentialSpecs.Cache.Dir = other }
	if doc, err := resolve(elsewhere); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("another folder starts empty: %v, %v", doc, err)
	}
	if info, err := os.Stat(other); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if doc, err := resolve(unchanged); err != nil || doc.Stale == nil {
		t.Errorf("back in the first one: %v, %v", doc, err)
	}
}
