package oci

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// fake is a registry that can be told to misbehave.
type fake struct {
	*httptest.Server

	t *testing.T
	// fault is asked first; it returns true if it has answered.
	fault func(w http.ResponseWriter, r *http.Request) bool

	mu        sync.Mutex
	manifests map[string][]byte // by tag, and by digest
	blobs     map[string][]byte // by digest
	requests  []string          // "GET /v2/…"
}

// repository is the one that a fake has.
const repository = "specs/webapp01"

// newFake starts a registry with TLS that has document under the tag 1.
func newFake(t *testing.T, document string) *fake {
	f := &fake{t: t, manifests: map[string][]byte{}, blobs: map[string][]byte{}}
	f.Server = httptest.NewTLSServer(f)
	t.Cleanup(f.Close)
	f.store("1", document)
	return f
}

func (f *fake) store(tag, document string) {
	manifest, layer, _, err := newManifest([]byte(document), "webapp01.json")
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	f.blobs[layer.Digest.String()] = []byte(document)
	f.mu.Unlock()
	f.storeManifest(tag, string(manifest))
}

func (f *fake) storeManifest(tag, manifest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.manifests[tag] = []byte(manifest)
	f.manifests[digest.FromString(manifest).String()] = []byte(manifest)
}

func (f *fake) host() string { return strings.TrimPrefix(f.URL, "https://") }

func (f *fake) ref(version string) credspec.Ref {
	return credspec.Ref{Scheme: Scheme, Rest: f.host() + "/" + repository + version}
}

// asked returns the requests so far and forgets them.
func (f *fake) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.requests
	f.requests = nil
	return asked
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	f.mu.Unlock()
	if f.fault != nil && f.fault(w, r) {
		return
	}
	const prefix = "/v2/" + repository + "/"
	kind, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, prefix), "/")
	f.mu.Lock()
	defer f.mu.Unlock()
	switch body, isManifest := f.manifests[id]; {
	case kind == "manifests" && isManifest:
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(body).String())
		sendAll(w, body)
	case kind == "blobs" && f.blobs[id] != nil:
		sendAll(w, f.blobs[id])
	default:
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
	}
}

func sendAll(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body) // to HEAD, it goes nowhere
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"canary: a text of the server's"}]}`, code)
}

// caFile has the certificate that all servers of httptest have.
func caFile(t *testing.T, s *httptest.Server) string {
	t.Helper()
	return writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// source trusts the fake, and asks it as registry says.
func (f *fake) source(r Registry) *Source {
	f.t.Helper()
	r.CAFile = caFile(f.t, f.Server)
	return newSource(f.t, Config{Registries: map[string]Registry{f.host(): r}})
}

func newSource(t *testing.T, c Config) *Source {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
