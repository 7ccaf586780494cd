package oci

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

var discard = log.New(io.Discard, "", 0)

// newPlainFake starts a registry without TLS, which is configured as such or
// not.
func newPlainFake(t *testing.T) *fake {
	f := newFake(t, document)
	plain := httptest.NewServer(f)
	t.Cleanup(plain.Close)
	f.URL = "https://" + strings.TrimPrefix(plain.URL, "http://") // whose host counts
	return f
}

// elsewhere is a server that a registry sends to, and what it was told.
type elsewhere struct {
	*httptest.Server
	authorization []string
}

func newElsewhere(t *testing.T, answer http.HandlerFunc, start func(http.Handler) *httptest.Server) *elsewhere {
	e := &elsewhere{}
	e.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.authorization = append(e.authorization, r.Header.Get("Authorization"))
		answer(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func basic(f *fake) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "robot" && password == "hunter2" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="canary"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return true
	}
}

func robot(t *testing.T) Registry {
	t.Helper()
	return Registry{Username: "robot", PasswordFile: writeFile(t, "password", "hunter2\n")}
}

// A redirect to a content network carries its permission in its address.
func TestContentIsFetchedElsewhereWithoutCredentials(t *testing.T) {
	f := newFake(t, document)
	storage := newElsewhere(t, body(document), httptest.NewTLSServer)
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if basic(f)(w, r) {
			return true
		}
		return on("blobs", redirect(storage.URL+"/object?X-Amz-Signature=canary"))(w, r)
	}
	doc, err := f.source(robot(t)).Resolve(t.Context(), f.ref(":1"))
	if err != nil || string(doc.Data) != document {
		t.Fatalf("%d bytes, %v", len(doc.Data), err)
	}
	if len(storage.authorization) != 1 || storage.authorization[0] != "" {
		t.Errorf("%d requests to the storage, with credentials %q", len(storage.authorization), storage.authorization)
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
}

func TestARedirectIsFollowedWhereItMayGoOnly(t *testing.T) {
	const query = "/object?X-Amz-Signature=canary"
	refusing := newElsewhere(t, page(http.StatusForbidden), httptest.NewTLSServer)
	plain := newElsewhere(t, body(document), httptest.NewServer)
	gone := httptest.NewTLSServer(nil)
	gone.Close()
	for name, tt := range map[string]struct {
		to   string
		kind error
		text string
	}{
		"without TLS":                   {plain.URL + query, fault.ErrDenied, "without TLS"},
		"to a metadata service":         {"https://169.254.169.254" + query, fault.ErrDenied, "link-local"},
		"to storage that refuses":       {refusing.URL + query, fault.ErrUnavailable, "answers 403 Forbidden"},
		"to storage that is not there":  {gone.URL + query, fault.ErrUnavailable, "nobody listens"},
		"to something that is no https": {"file:///etc/passwd", fault.ErrDenied, "without TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, document)
			f.fault = on("blobs", redirect(tt.to))
			_, err := f.source(Registry{}).Resolve(t.Context(), f.ref(":1"))
			wantError(t, err, tt.kind, tt.text, f.host())
		})
	}
	if len(plain.authorization) > 0 {
		t.Error("the server without TLS was asked")
	}
}

// A layer may name addresses where it is, too; Windows' base images did.
func TestAddressesInALayerAreNotAsked(t *testing.T) {
	f := newFake(t, document)
	other := newElsewhere(t, body(document), httptest.NewTLSServer)
	manifest := string(f.manifests["1"])
	f.storeManifest("1", strings.Replace(manifest, `"mediaType":"`+LayerType+`"`, `"mediaType":"`+LayerType+`","urls":["`+other.URL+`"]`, 1))
	f.fault = on("blobs", status(404, "BLOB_UNKNOWN"))
	_, err := f.source(Registry{}).Resolve(t.Context(), f.ref(":1"))
	wantError(t, err, fault.ErrUnavailable, "missing")
	if len(other.authorization) > 0 {
		t.Error("the address in the layer was asked")
	}
}

// bearer is a registry that wants a token of the service at realm.
func bearer(realm string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer the-token" {
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="registry",scope="repository:%s:pull"`, realm, repository))
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return true
	}
}

func TestATokenServiceIsSentTheCredentialsAndTheRegistryTheToken(t *testing.T) {
	f := newFake(t, document)
	var asked string
	service := newElsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RawQuery
		if user, password, _ := r.BasicAuth(); user != "robot" || password != "hunter2" {
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
			return
		}
		fmt.Fprint(w, `{"token":"the-token"}`)
	}, httptest.NewTLSServer)
	f.fault = bearer(service.URL + "/token")
	doc, err := f.source(robot(t)).Resolve(t.Context(), f.ref(":1"))
	if err != nil || string(doc.Data) != document {
		t.Fatalf("%d bytes, %v", len(doc.Data), err)
	}
	if len(service.authorization) != 1 {
		t.Errorf("%d tokens were asked for, want one", len(service.authorization))
	}
	if want := "scope=repository%3Aspecs%2Fwebapp01%3Apull&service=registry"; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
	_, err = f.source(Registry{}).Resolve(t.Context(), f.ref(":1"))
	wantError(t, err, fault.ErrDenied, "token service "+strings.TrimPrefix(service.URL, "https://"), "an anonymous caller")
}

func TestCredentialsAreNotSentToAnyTokenService(t *testing.T) {
	answered := newElsewhere(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"token":"the-token"}`) }, httptest.NewTLSServer)
	plain := newElsewhere(t, answered.Config.Handler.ServeHTTP, httptest.NewServer)
	for name, tt := range map[string]struct {
		realm string
		kind  error
		text  string
	}{
		"without TLS":                {plain.URL, fault.ErrDenied, "uses http"},
		"on the metadata service":    {"https://169.254.169.254/latest", fault.ErrDenied, "blocked"},
		"on this host, by its name":  {strings.Replace(answered.URL, "127.0.0.1", "localhost", 1), fault.ErrDenied, "blocked"},
		"of no scheme that we speak": {"gopher://hole", fault.ErrDenied, "gopher"},
		"that redirects": {newElsewhere(t, redirect("https://169.254.169.254/"), httptest.NewTLSServer).URL,
			fault.ErrDenied, "blocked"},
		"that redirects out of TLS": {newElsewhere(t, redirect(plain.URL), httptest.NewTLSServer).URL,
			fault.ErrDenied, "uses http"},
		"that is down":           {newElsewhere(t, page(503), httptest.NewTLSServer).URL, fault.ErrUnavailable, "503 Service Unavailable"},
		"that answers a page":    {newElsewhere(t, page(200), httptest.NewTLSServer).URL, fault.ErrUnavailable, "decode"},
		"that answers no token":  {newElsewhere(t, body("{}"), httptest.NewTLSServer).URL, fault.ErrUnavailable, "empty token"},
		"that refuses":           {newElsewhere(t, page(403), httptest.NewTLSServer).URL, fault.ErrDenied, "user \"robot\""},
		"whose token is refused": {newElsewhere(t, body(`{"token":"x"}`), httptest.NewTLSServer).URL, fault.ErrDenied, "401 UNAUTHORIZED"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, document)
			f.fault = bearer(tt.realm)
			_, err := f.source(robot(t)).Resolve(t.Context(), f.ref(":1"))
			wantError(t, err, tt.kind, tt.text, f.host())
		})
	}
	for name, e := range map[string]*elsewhere{"the service without TLS": plain, "the service under another name": answered} {
		if len(e.authorization) > 0 {
			t.Errorf("%s was asked", name)
		}
	}
}

func TestOneRegistrysCredentialsAreNotAnothers(t *testing.T) {
	f, other := newFake(t, document), newFake(t, document)
	other.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			t.Error("the other registry was sent credentials")
		}
		return basic(other)(w, r)
	}
	s := newSource(t, Config{
		AuthFile: writeFile(t, "config.json", `{"auths":{"`+f.host()+`":{"auth":"cm9ib3Q6aHVudGVyMg=="}}}`),
		Registries: map[string]Registry{
			f.host():     {CAFile: caFile(t, f.Server), Username: "robot", PasswordFile: robot(t).PasswordFile},
			other.host(): {CAFile: caFile(t, other.Server)},
		},
	})
	_, err := s.Resolve(t.Context(), other.ref(":1"))
	wantError(t, err, fault.ErrDenied, "an anonymous caller (the auth file has no entry for it)")
	// Nor are they when the one redirects to the other.
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if basic(f)(w, r) {
			return true
		}
		return on("manifests", redirect(other.URL+"/v2/"+repository+"/manifests/1"))(w, r)
	}
	_, err = s.Resolve(t.Context(), f.ref(":1"))
	wantError(t, err, fault.ErrUnavailable, "sends on to "+other.host(), "401")
}

func TestOnlyConfiguredRegistriesAreAskedWhereThatIsSaid(t *testing.T) {
	f, other := newFake(t, document), newFake(t, document)
	s := newSource(t, Config{RestrictToRegistries: true, Registries: map[string]Registry{f.host(): {CAFile: caFile(t, f.Server)}}})
	if _, err := s.Resolve(t.Context(), f.ref(":1")); err != nil {
		t.Error(err)
	}
	_, err := s.Resolve(t.Context(), other.ref(":1"))
	wantError(t, err, fault.ErrDenied, other.host(), "is not one that is configured")
	_, err = s.Push(t.Context(), other.ref(":1"), []byte("{}"))
	wantError(t, err, fault.ErrDenied, other.host())
	wantError(t, s.Admit(other.ref(":1")), fault.ErrDenied, other.host())
	if err := s.Admit(f.ref(":1")); err != nil {
		t.Error(err)
	}
	if asked := other.asked(); len(asked) > 0 {
		t.Errorf("it was asked: %q", asked)
	}
}

func TestAPlainRegistryOnThisHostIsAskedWhereConfigured(t *testing.T) {
	f := newPlainFake(t)
	s := newSource(t, Config{Registries: map[string]Registry{f.host(): {PlainHTTP: true}}})
	doc, err := s.Resolve(t.Context(), f.ref(":1"))
	if err != nil || string(doc.Data) != document {
		t.Errorf("%d bytes, %v", len(doc.Data), err)
	}
	_, err = New(Config{Registries: map[string]Registry{"registry.example": {PlainHTTP: true}}})
	wantError(t, err, fault.ErrMalformed, "registry.example")
}
