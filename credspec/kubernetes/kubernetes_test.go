package kubernetes_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/kubernetes"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// canary stands in documents and credentials, and must not be in any error.
const canary = "canary"

func ref(name string) credspec.Ref { return credspec.Ref{Scheme: kubernetes.Scheme, Rest: name} }

func source(t *testing.T, kubeconfig string) *kubernetes.Source {
	t.Helper()
	s, err := kubernetes.New(kubernetes.Config{Kubeconfig: kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kubeconfig writes one for a server.
func kubeconfig(t *testing.T, server string, user map[string]any, ca ...byte) string {
	t.Helper()
	cluster := map[string]any{"server": server}
	if len(ca) > 0 {
		cluster["certificate-authority-data"] = base64.StdEncoding.EncodeToString(ca)
	}
	data, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": []any{map[string]any{"name": "c", "cluster": cluster}},
		"users":    []any{map[string]any{"name": "u", "user": user}},
		"contexts": []any{map[string]any{"name": "x", "context": map[string]any{"cluster": "c", "user": "u"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate is a test server's, in PEM.
func certificate(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// wantError wants an error of a kind with these words in it, and with nothing
// that is secret.
func wantError(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v, want %v", err, kind)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q, want %q in it", err, word)
		}
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("error %q repeats what is secret", err)
	}
	kinds := 0
	for _, kind := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed, errors.ErrUnsupported} {
		if errors.Is(err, kind) {
			kinds++
		}
	}
	if kinds > 1 {
		t.Errorf("error %q is of %d kinds", err, kinds)
	}
}

// webapp01 is an object as the API server sends it.
const webapp01 = `{"apiVersion":"windows.k8s.io/v1","credspec":{"CmsPlugins":["canary"]},"kind":"GMSACredentialSpec",` +
	`"metadata":{"name":"webapp01","uid":"7e5cfbb4","resourceVersion":"12"}}`

func TestSourceTakesNoAnswerThatIsNotAnAPIServers(t *testing.T) {
	answer := func(code int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	const js = "application/json"
	tests := map[string]struct {
		handler http.HandlerFunc
		kind    error
		words   string
	}{
		"html":             {answer(200, "text/html", "<html>canary</html>"), fault.ErrUnavailable, "is not JSON"},
		"empty":            {answer(200, js, ""), fault.ErrUnavailable, "is not JSON"},
		"cut JSON":         {answer(200, js, webapp01[:80]), fault.ErrUnavailable, "is not JSON"},
		"two values":       {answer(200, js, webapp01+webapp01), fault.ErrUnavailable, "is not JSON"},
		"an array":         {answer(200, js, `["canary"]`), fault.ErrUnavailable, "no object"},
		"no name":          {answer(200, js, `{"metadata":{},"credspec":{}}`), fault.ErrUnavailable, "has no metadata.name"},
		"no version":       {answer(200, js, strings.Replace(webapp01, `"12"`, `""`, 1)), fault.ErrUnavailable, "has no metadata.resourceVersion"},
		"another object":   {answer(200, js, strings.Replace(webapp01, `"webapp01"`, `"webapp02"`, 1)), fault.ErrUnavailable, "is another object"},
		"two credspecs":    {answer(200, js, strings.Replace(webapp01, `"kind"`, `"credspec":{},"kind"`, 1)), fault.ErrUnavailable, "more than one credspec"},
		"two members":      {answer(200, js, strings.Replace(webapp01, `{"CmsPlugins"`, `{"x":{"a":1,"a":2},"CmsPlugins"`, 1)), fault.ErrMalformed, "twice"},
		"a null":           {answer(200, js, strings.Replace(webapp01, `{"CmsPlugins":["canary"]}`, "null", 1)), fault.ErrMalformed, "has no credspec"},
		"a text":           {answer(200, js, strings.Replace(webapp01, `{"CmsPlugins":["canary"]}`, `"canary"`, 1)), fault.ErrMalformed, "has no credspec"},
		"too long":         {answer(200, js, strings.Repeat("canary ", 1<<19)), fault.ErrMalformed, "more than 3145728 bytes"},
		"too long a spec":  {answer(200, js, strings.Replace(webapp01, `canary`, strings.Repeat("canary", credspec.MaxSize/6), 1)), fault.ErrMalformed, "more than 1048576 bytes"},
		"not found, HTML":  {answer(404, "text/html", "<h1>canary</h1>"), fault.ErrUnavailable, "not an API server's"},
		"redirect":         {http.RedirectHandler("https://127.0.0.1:1/canary", http.StatusFound).ServeHTTP, fault.ErrUnavailable, "302"},
		"busy":             {answer(429, js, `{"kind":"Status","message":"too many requests"}`), fault.ErrUnavailable, "too many requests"},
		"broken":           {answer(500, js, `{"kind":"Status","message":"etcdserver: \u001b[31mleader changed"}`), fault.ErrUnavailable, "etcdserver:  [31mleader changed"},
		"gateway":          {answer(502, "text/html", "<h1>canary</h1>"), fault.ErrUnavailable, "502 Bad Gateway"},
		"forbidden":        {answer(403, js, `{"kind":"Status","reason":"Forbidden","message":"User \"x\" cannot get"}`), fault.ErrDenied, "cannot get"},
		"no such object":   {answer(404, js, `{"kind":"Status","reason":"NotFound","message":"\"webapp01\" not found"}`), fault.ErrNotFound, "not found"},
		"no such API":      {answer(404, "text/plain", "404 page not found\n"), fault.ErrNotFound, "CRD"},
		"content is short": {short, fault.ErrUnavailable, "unexpected EOF"},
		"hangs up":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fault.ErrUnavailable, "EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			s := source(t, kubeconfig(t, server.URL, map[string]any{"token": "canary-token"}))
			doc, err := s.Resolve(t.Context(), ref("webapp01"))
			if len(doc.Data) > 0 {
				t.Error("there is a document with the error")
			}
			wantError(t, err, tt.kind, "GMSACredentialSpec webapp01", tt.words)
			if _, err := s.Revalidate(t.Context(), ref("webapp01"), "7e5cfbb4/11"); !errors.Is(err, tt.kind) {
				t.Errorf("revalidation: error %v, want %v", err, tt.kind)
			}
		})
	}
}

// short says how long the answer is and sends less.
func short(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", fmt.Sprint(len(webapp01)))
	_, _ = io.WriteString(w, webapp01[:100])
}

func TestSourceStopsWaitingForASlowServer(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, webapp01[:100])
		_ = http.NewResponseController(w).Flush()
		close(asked)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := source(t, kubeconfig(t, server.URL, nil)).Resolve(ctx, ref("webapp01"))
	wantError(t, err, context.Canceled, strings.TrimPrefix(server.URL, "http://"))
}

func TestSourceTrustsTheCertificatesOfItsKubeconfigOnly(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, webapp01)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is to fail
	server.StartTLS()
	defer server.Close()

	file := kubeconfig(t, server.URL, nil)
	s := source(t, file)
	_, err := s.Resolve(t.Context(), ref("webapp01"))
	wantError(t, err, fault.ErrUnavailable, "does not lead to trust its certificate", file)

	// It is mended without a new source.
	data, err := os.ReadFile(kubeconfig(t, server.URL, nil, certificate(server)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(t.Context(), ref("webapp01")); err != nil {
		t.Error(err)
	}
}

func TestSourceRefusesNamesThatLeadElsewhere(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked for %s", r.URL)
	}))
	defer server.Close()
	s := source(t, kubeconfig(t, server.URL, nil))
	for _, name := range []string{"", ".", "..", "../../../../api/v1/secrets", "a/b", "a%2fb", "a?watch=true", "a#b"} {
		_, err := s.Resolve(t.Context(), ref(name))
		wantError(t, err, fault.ErrMalformed, "no object can have that name")
	}
}

func TestSourceIsUnsupportedWhereNothingIsConfigured(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := source(t, "").Resolve(t.Context(), ref("webapp01"))
	wantError(t, err, errors.ErrUnsupported, "no kubeconfig is configured")
}
