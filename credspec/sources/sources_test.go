package sources_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/cache"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/credspec/oci"
	"github.com/gmsa-agent/gmsa-agent/credspec/sources"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestNewHasEverySourceThatIsBuilt(t *testing.T) {
	m, err := sources.New(sources.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"config", "file", "http", "https", "kubernetes", "oci", "raw", "registry", "s3", "ssm"}, m.Schemes()); diff != "" {
		t.Error(diff)
	}
}

func TestTheCacheIsInFrontOfRemoteSourcesOnly(t *testing.T) {
	folder := t.TempDir()
	documents := cache.Open(filepath.Join(t.TempDir(), "cache"), slog.New(slog.DiscardHandler))
	defer documents.Close() //nolint:errcheck // nothing is to be written
	m, err := sources.Cached(sources.Config{Folders: []string{folder}}, documents, cache.Limits{Fresh: time.Hour, Stale: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	direct, err := sources.New(sources.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(direct.Schemes(), m.Schemes()); diff != "" {
		t.Error(diff)
	}
	for i, text := range []string{credspectest.Document, credspectest.Document + "\n"} {
		if err := os.WriteFile(filepath.Join(folder, "a.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		doc, err := m.Resolve(t.Context(), credspec.Ref{Scheme: "file", Rest: "a.json"})
		if err != nil || string(doc.Data) != text {
			t.Errorf("%v, %v", doc, err)
		}
		if s := documents.Stats(); s.Entries != 0 || s.Sources["file"].Requests != uint64(i+1) {
			t.Errorf("%+v", s)
		}
	}
}

func TestWhatTheConfigurationRefusesIsRefusedBeforeTheCacheAnswers(t *testing.T) {
	documents := cache.Open(filepath.Join(t.TempDir(), "cache"), slog.New(slog.DiscardHandler))
	defer documents.Close() //nolint:errcheck // nothing is to be written
	cfg := sources.Config{HTTPS: https.Config{RestrictToHosts: true}, OCI: oci.Config{RestrictToRegistries: true}}
	m, err := sources.Cached(cfg, documents, cache.Limits{Fresh: time.Hour, Stale: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for scheme, rest := range map[string]string{"https": "host/x.json", "oci": "host/repository:1"} {
		_, err := m.Resolve(t.Context(), credspec.Ref{Scheme: scheme, Rest: rest})
		if s := documents.Stats(); !errors.Is(err, fault.ErrDenied) || s.Sources[scheme].Requests != 0 {
			t.Errorf("%s: %v after %d requests", scheme, err, s.Sources[scheme].Requests)
		}
	}
}

func TestReferencesResolveFromTheTextToTheDocument(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "webapp01.json"), []byte(credspectest.Document), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := sources.New(sources.Config{Folders: []string{folder}})
	if err != nil {
		t.Fatal(err)
	}
	pin := "#sha256=" + credspec.Digest([]byte(credspectest.Document))
	for text, kind := range map[string]error{
		"file://webapp01.json":                      nil,
		"credentialspec=file://webapp01.json" + pin: nil,
		"raw://" + credspectest.Document:            nil,
		credspectest.Document:                       nil,
		"file://other.json":                         fault.ErrNotFound,
		"raw://{}" + pin:                            fault.ErrDenied,
		"config://x":                                errors.ErrUnsupported,
		"gopher://hole":                             fault.ErrMalformed,
	} {
		ref, err := credspec.ParseRef(text)
		if err != nil {
			t.Errorf("%.40s: %v", text, err)
			continue
		}
		doc, err := m.Resolve(t.Context(), ref)
		switch {
		case kind == nil && (err != nil || string(doc.Data) != credspectest.Document):
			t.Errorf("%.40s: %v, %v", text, doc, err)
		case kind != nil && !errors.Is(err, kind):
			t.Errorf("%.40s: error %v, want %v", text, err, kind)
		}
	}
}

func TestNewRefusesARelativeFolder(t *testing.T) {
	if _, err := sources.New(sources.Config{Folders: []string{"x"}}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("error %v", err)
	}
}

func TestDefaultFoldersAreUsable(t *testing.T) {
	for _, f := range sources.DefaultFolders() {
		if !filepath.IsAbs(f) {
			t.Errorf("%s is not absolute", f)
		}
	}
}
