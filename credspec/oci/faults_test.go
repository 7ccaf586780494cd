package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// document has the length that matters, and a word that no error may repeat.
const document = `{"canary": "of the document"}`

// on returns a fault in the answers to requests of one kind: "manifests",
// "blobs".
func on(kind string, answer http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/"+kind+"/") {
			return false
		}
		answer(w, r)
		return true
	}
}

func status(code int, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, code, name) }
}

func page(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(code)
		fmt.Fprint(w, "<html>canary</html>")
	}
}

func body(b string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { sendAll(w, []byte(b)) }
}

// manifestBody sends b as a manifest and says that its digest is d.
func manifestBody(b []byte, d digest.Digest) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		if d != "" {
			w.Header().Set("Docker-Content-Digest", d.String())
		}
		sendAll(w, b)
	}
}

func TestARegistryThatFailsOrLiesIsAnErrorOfItsKind(t *testing.T) {
	other := digest.FromString("another")
	tests := map[string]struct {
		fault   func(http.ResponseWriter, *http.Request) bool
		version string // empty: :1
		want    error
		text    string
	}{
		"no repository":       {on("manifests", status(404, "NAME_UNKNOWN")), "", fault.ErrNotFound, "has no repository specs/webapp01"},
		"no tag":              {nil, ":2", fault.ErrNotFound, "has no specs/webapp01:2"},
		"no digest":           {nil, "@" + other.String(), fault.ErrNotFound, "has no specs/webapp01@sha256:"},
		"no document":         {on("blobs", status(404, "BLOB_UNKNOWN")), "", fault.ErrUnavailable, "missing"},
		"unauthorized":        {on("manifests", status(401, "UNAUTHORIZED")), "", fault.ErrDenied, "refuses specs/webapp01 to an anonymous caller (401 UNAUTHORIZED)"},
		"forbidden":           {on("manifests", status(403, "DENIED")), "", fault.ErrDenied, "403 DENIED"},
		"document forbidden":  {on("blobs", status(403, "DENIED")), "", fault.ErrDenied, "403 DENIED"},
		"too many requests":   {on("manifests", status(429, "TOOMANYREQUESTS")), "", fault.ErrUnavailable, "answers 429 TOOMANYREQUESTS"},
		"name not taken":      {on("manifests", status(400, "NAME_INVALID")), "", fault.ErrMalformed, "400 NAME_INVALID"},
		"bad gateway":         {on("manifests", page(502)), "", fault.ErrUnavailable, "answers 502 Bad Gateway"},
		"broken storage":      {on("blobs", status(500, "<script>canary")), "", fault.ErrUnavailable, "answers 500 Internal Server Error"},
		"a page":              {on("manifests", page(200)), "", fault.ErrUnavailable, "is a registry there?"},
		"a long manifest":     {on("manifests", manifestBody(bytes.Repeat([]byte("a"), maxManifest+1), other)), "", fault.ErrMalformed, "longer than"},
		"another manifest":    {on("manifests", manifestBody([]byte("{}"), other)), "", fault.ErrUnavailable, "arrived damaged"},
		"not that manifest":   {on("manifests", manifestBody([]byte("{}"), "")), "@" + other.String(), fault.ErrUnavailable, "digest"},
		"a digest of nothing": {on("manifests", manifestBody([]byte("{}"), "md5:0")), "", fault.ErrUnavailable, "Docker-Content-Digest"},
		"a short document":    {on("blobs", body(document[1:])), "", fault.ErrUnavailable, "Content-Length"},
		"a long document":     {on("blobs", body(document+" ")), "", fault.ErrUnavailable, "Content-Length"},
		"another document":    {on("blobs", body(strings.Repeat("x", len(document)))), "", fault.ErrUnavailable, "arrived damaged"},
		"half a document": {on("blobs", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(document)))
			fmt.Fprint(w, document[:5])
		}), "", fault.ErrUnavailable, "arrived damaged"},
		"a document without end": {on("blobs", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, document)
			w.(http.Flusher).Flush()
			for { // until the client goes
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}), "", fault.ErrUnavailable, "arrived damaged"},
		"cut off": {on("manifests", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "", fault.ErrUnavailable, "closed the connection"},
		"upside down": {on("manifests", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}), "", fault.ErrUnavailable, "redirects more than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, document)
			f.fault = tt.fault
			version := tt.version
			if version == "" {
				version = ":1"
			}
			doc, err := f.source(Registry{}).Resolve(t.Context(), f.ref(version))
			wantError(t, err, tt.want, tt.text, f.host())
			if len(doc.Data) > 0 {
				t.Errorf("a document of %d bytes comes with the error", len(doc.Data))
			}
		})
	}
}

// wantError checks that err is of one kind, has the texts, and nothing of the
// document or of what a server wrote.
func wantError(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error %v, want %v", err, kind)
	}
	for _, other := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed} {
		if other != kind && errors.Is(err, other) {
			t.Errorf("error %q is of two kinds", err)
		}
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
	for _, secret := range []string{"canary", "hunter2", "X-Amz"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q repeats %q", err, secret)
		}
	}
}

func TestADocumentThatIsTooLongIsNotFetched(t *testing.T) {
	f := newFake(t, strings.Repeat("canary ", credspec.MaxSize/7+1))
	_, err := f.source(Registry{}).Resolve(t.Context(), f.ref(":1"))
	wantError(t, err, fault.ErrMalformed, "has a document of")
	for _, request := range f.asked() {
		if strings.Contains(request, "/blobs/") {
			t.Errorf("asked for it: %s", request)
		}
	}
}

func TestARegistryWithoutLengthsAndDigestsResolves(t *testing.T) {
	f := newFake(t, document)
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest+"; charset=utf-8")
		w.(http.Flusher).Flush() // no length from here on
		return false
	}
	doc, err := f.source(Registry{}).Resolve(t.Context(), f.ref(":1"))
	if err != nil || string(doc.Data) != document {
		t.Errorf("%d bytes, %v", len(doc.Data), err)
	}
}

func TestASilentRegistryIsLeftWithTheContext(t *testing.T) {
	for _, kind := range []string{"manifests", "blobs"} {
		f := newFake(t, document)
		ctx, cancel := context.WithCancel(t.Context())
		f.fault = on(kind, func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		if _, err := f.source(Registry{}).Resolve(ctx, f.ref(":1")); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want context.Canceled", kind, err)
		}
	}
}

func TestNoConnectionIsUnavailable(t *testing.T) {
	t.Run("nobody there", func(t *testing.T) {
		f := newFake(t, document)
		s := f.source(Registry{})
		f.Close()
		_, err := s.Resolve(t.Context(), f.ref(":1"))
		wantError(t, err, fault.ErrUnavailable, "nobody listens", f.host())
	})
	t.Run("a certificate of an unknown authority", func(t *testing.T) {
		f := newFake(t, document)
		f.Config.ErrorLog = discard
		_, err := newSource(t, Config{}).Resolve(t.Context(), f.ref(":1"))
		wantError(t, err, fault.ErrUnavailable, "certificate", f.host())
	})
	t.Run("no authority's file", func(t *testing.T) {
		f := newFake(t, document)
		s := newSource(t, Config{Registries: map[string]Registry{f.host(): {CAFile: "/absent.pem"}}})
		_, err := s.Resolve(t.Context(), f.ref(":1"))
		wantError(t, err, fault.ErrUnavailable, "/absent.pem", f.host())
	})
	t.Run("plain HTTP that is not configured", func(t *testing.T) {
		f := newPlainFake(t)
		_, err := newSource(t, Config{}).Resolve(t.Context(), f.ref(":1"))
		wantError(t, err, fault.ErrUnavailable, "does not speak TLS")
	})
}
