package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// watched is one file under Watch; report sees what the caller of Watch sees.
type watched struct {
	name    string
	configs []*Config
	errs    []error
}

func (w *watched) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(w.name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// settle lets Watch look often enough to report what there is.
func (w *watched) settle() {
	time.Sleep(3 * pollEvery) // of the bubble's clock
	synctest.Wait()
}

func (w *watched) expect(t *testing.T, when string, configs, errs int) {
	t.Helper()
	w.settle()
	if len(w.configs) != configs || len(w.errs) != errs {
		t.Fatalf("%s: %d configurations and %d errors reported, want %d and %d (%v)", when, len(w.configs), len(w.errs), configs, errs, w.errs)
	}
}

func watchFile(t *testing.T, text string, test func(*testing.T, *watched)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &watched{name: filepath.Join(dir, "config.yaml")}
		w.write(t, text)
		c, err := Load(w.name)
		if err != nil {
			t.Fatal(err)
		}
		go c.Watch(t.Context(), func(c *Config, err error) {
			if err != nil {
				w.errs = append(w.errs, err)
			} else {
				w.configs = append(w.configs, c)
			}
		})
		test(t, w)
	})
}

func TestWatchReportsAChangeOnce(t *testing.T) {
	watchFile(t, "audit: {keep: 1}", func(t *testing.T, w *watched) {
		w.expect(t, "untouched", 0, 0)
		w.write(t, "audit: {keep: 2}")
		w.expect(t, "changed", 1, 0)
		if got := w.configs[0].Audit.Keep; got != 2 {
			t.Errorf("audit.keep is %d, want 2", got)
		}
		w.write(t, "audit: {keep: 2}")
		w.expect(t, "written again as it was", 1, 0)
	})
}

func TestWatchReportsABrokenFileOnceAndItsRepair(t *testing.T) {
	watchFile(t, "audit: {keep: 1}", func(t *testing.T, w *watched) {
		w.write(t, "audit: {keep: 1")
		w.expect(t, "broken", 0, 1)
		if !errors.Is(w.errs[0], fault.ErrMalformed) {
			t.Errorf("got %v, want fault.ErrMalformed", w.errs[0])
		}
		w.expect(t, "still broken", 0, 1)
		w.write(t, "audit: {keep: 1}")
		w.expect(t, "repaired", 1, 1)
	})
}

func TestWatchFollowsAFileThatIsReplaced(t *testing.T) {
	watchFile(t, "audit: {keep: 1}", func(t *testing.T, w *watched) {
		for i, text := range []string{"audit: {keep: 10}", "audit: {keep: 11}", "audit: {keep: 12}"} {
			next := w.name + ".new"
			if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(next, w.name); err != nil {
				t.Fatal(err)
			}
			w.expect(t, text, i+1, 0)
			if got := w.configs[i].Audit.Keep; got != 10+i {
				t.Errorf("audit.keep is %d, want %d", got, 10+i)
			}
		}
	})
}

func TestWatchReportsARemovedFileAsAnError(t *testing.T) {
	watchFile(t, "policy: {allow: [{domains: [contoso.com]}]}", func(t *testing.T, w *watched) {
		if err := os.Remove(w.name); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "removed", 0, 1)
		if !errors.Is(w.errs[0], fault.ErrNotFound) {
			t.Errorf("got %v, want fault.ErrNotFound", w.errs[0])
		}
		w.write(t, "policy: {allow: [{domains: [contoso.com]}]}")
		w.expect(t, "back", 1, 1)
	})
}

func TestWatchWaitsUntilAFileIsWhole(t *testing.T) {
	watchFile(t, "audit: {keep: 1}", func(t *testing.T, w *watched) {
		for _, half := range []string{"", "audit:", "audit: {keep", "audit: {keep: 4}\n"} {
			w.write(t, half)
			time.Sleep(pollEvery)
			synctest.Wait()
		}
		w.expect(t, "written in pieces", 1, 0)
		if got := w.configs[0].Audit.Keep; got != 4 {
			t.Errorf("audit.keep is %d, want 4", got)
		}
	})
}
