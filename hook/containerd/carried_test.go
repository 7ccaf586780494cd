package containerd

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestWhatAContainerCarriesIsInItsBundleElseInItsRecord(t *testing.T) {
	f := newFake(t)
	f.put(key("a"), `{"windows":{"credentialSpec":"record"}}`, nil)
	w := New(Config{StateDir: t.TempDir()}, nil, nil, slog.New(slog.DiscardHandler))
	w.dial = f.dial
	if spec, place, err := w.Carried(t.Context(), key("a")); err != nil || spec != "record" || place != "containerd's record" {
		t.Errorf("%q, %q, %v", spec, place, err)
	}
	if _, _, err := w.Carried(t.Context(), key("b")); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	config := filepath.Join(w.bundleOf(key("a")), "config.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(config), 0o700), os.WriteFile(config, []byte(`{"windows":{"credentialSpec":"bundle"}}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	if spec, place, err := w.Carried(t.Context(), key("a")); err != nil || spec != "bundle" || place != config {
		t.Errorf("%q, %q, %v", spec, place, err)
	}
}
