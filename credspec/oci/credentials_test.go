package oci

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestAPasswordIsReadAgainForEachCall(t *testing.T) {
	f := newFake(t, document)
	f.fault = basic(f)
	registry := robot(t)
	s := f.source(registry)
	for _, step := range []struct {
		content string
		kind    error
	}{{"hunter2", nil}, {"hunter2\r\n", nil}, {"hunter3", fault.ErrDenied}, {"hunter2 ", fault.ErrDenied}, {"hunter2\n\n", fault.ErrDenied}, {"hunter2\n", nil}} {
		if err := os.WriteFile(registry.PasswordFile, []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Resolve(t.Context(), f.ref(":1"))
		if step.kind == nil && err != nil {
			t.Errorf("%q: %v", step.content, err)
		}
		if step.kind != nil {
			wantError(t, err, step.kind, `user "robot"`)
		}
	}
}

func TestCredentialsThatCannotBeReadAreNamed(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	long := writeFile(t, "long", strings.Repeat("canary", maxPasswordFile))
	for name, tt := range map[string]struct {
		password, authFile string
		text               string
	}{
		"no password file":       {absent, "", "password file " + absent},
		"an empty password file": {writeFile(t, "empty", "\n"), "", "there is no password in it"},
		"a long password file":   {long, "", "longer than"},
		"a folder":               {t.TempDir(), "", "it is not a file"},
		"no auth file":           {"", absent, "auth file " + absent},
		"an auth file of text":   {"", writeFile(t, "config.json", "canary"), "docker login"},
		"an auth file of others": {"", writeFile(t, "config.json", `{"auths":["canary"]}`), "docker login"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, document)
			f.fault = basic(f)
			s := newSource(t, Config{AuthFile: tt.authFile, Registries: map[string]Registry{f.host(): {CAFile: caFile(t, f.Server)}}})
			if tt.password != "" {
				s = f.source(Registry{Username: "robot", PasswordFile: tt.password})
			}
			_, err := s.Resolve(t.Context(), f.ref(":1"))
			wantError(t, err, fault.ErrUnavailable, tt.text, f.host())
		})
	}
}

func TestARegistryThatAsksForNothingIsSentNothing(t *testing.T) {
	f := newFake(t, document)
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials were sent")
		}
		return false
	}
	absent := Registry{Username: "robot", PasswordFile: filepath.Join(t.TempDir(), "absent")}
	if _, err := f.source(absent).Resolve(t.Context(), f.ref(":1")); err != nil {
		t.Error(err)
	}
}

func TestAuthFilesOfDocker(t *testing.T) {
	const robot = `{"auth":"cm9ib3Q6aHVudGVyMg=="}` // robot:hunter2
	user := auth.Credential{Username: "robot", Password: "hunter2"}
	for name, tt := range map[string]struct {
		host, file string
		want       auth.Credential
		as         string
	}{
		"by host":            {"registry.example", `{"auths":{"registry.example":` + robot + `}}`, user, `user "robot"`},
		"by host and port":   {"registry.example:5000", `{"auths":{"registry.example:5000":` + robot + `}}`, user, `user "robot"`},
		"by address":         {"registry.example", `{"auths":{"https://registry.example/v2/":` + robot + `}}`, user, `user "robot"`},
		"Docker Hub":         {"docker.io", `{"auths":{"https://index.docker.io/v1/":` + robot + `}}`, user, `user "robot"`},
		"https' own port":    {"registry.example:443", `{"auths":{"registry.example":` + robot + `}}`, user, `user "robot"`},
		"padded":             {"registry.example", `{"auths":{"registry.example":{"auth":"cm9ib3Q6aHVudGVyMgAA"}}}`, user, `user "robot"`},
		"in two fields":      {"registry.example", `{"auths":{"registry.example":{"username":"robot","password":"hunter2"}}}`, user, `user "robot"`},
		"with what we don't": {"registry.example", `{"auths":{"registry.example":` + robot + `},"HttpHeaders":{"X":"y"},"currentContext":"c"}`, user, `user "robot"`},
		"an identity token": {"registry.example", `{"auths":{"registry.example":{"identitytoken":"t"}}}`,
			auth.Credential{RefreshToken: "t"}, "the holder of the token in the auth file"},
		"a registry token": {"registry.example", `{"auths":{"registry.example":{"registrytoken":"t"}}}`,
			auth.Credential{AccessToken: "t"}, "the holder of the token in the auth file"},
		"another port":     {"registry.example:5000", `{"auths":{"registry.example":` + robot + `}}`, auth.EmptyCredential, "an anonymous caller (the auth file has no entry for it)"},
		"another host":     {"registry.example", `{"auths":{"example":` + robot + `}}`, auth.EmptyCredential, "an anonymous caller (the auth file has no entry for it)"},
		"a path of a host": {"registry.example", `{"auths":{"registry.example/team":` + robot + `}}`, auth.EmptyCredential, "an anonymous caller (the auth file has no entry for it)"},
		"nothing":          {"registry.example", `{}`, auth.EmptyCredential, "an anonymous caller (the auth file has no entry for it)"},
		"in a store": {"registry.example", `{"auths":{"registry.example":{}},"credsStore":"wincred"}`, auth.EmptyCredential,
			"an anonymous caller (its credentials are in a credential helper, which the agent does not run)"},
		"in a helper": {"registry.example", `{"credHelpers":{"registry.example":"ecr-login"}}`, auth.EmptyCredential,
			"an anonymous caller (its credentials are in a credential helper, which the agent does not run)"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAuths([]byte(tt.file), tt.host)
			if err != nil || got.Credential != tt.want || got.String() != tt.as {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestAnIdentityPrintsWithoutItsPassword(t *testing.T) {
	i := identity{Credential: auth.Credential{Username: "robot", Password: "hunter2", RefreshToken: "hunter2"}, name: `user "robot"`}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		if text := fmt.Sprintf(format, i); strings.Contains(text, "hunter2") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

func TestAnIdentityTokenIsExchangedAtTheTokenService(t *testing.T) {
	f := newFake(t, document)
	service := newElsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "refresh_token" || r.Form.Get("refresh_token") != "hunter2" {
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
			return
		}
		fmt.Fprint(w, `{"access_token":"the-token"}`)
	}, httptest.NewTLSServer)
	f.fault = bearer(service.URL + "/token")
	for token, kind := range map[string]error{"hunter2": nil, "hunter3": fault.ErrDenied} {
		s := newSource(t, Config{
			AuthFile:   writeFile(t, "config.json", `{"auths":{"`+f.host()+`":{"identitytoken":"`+token+`"}}}`),
			Registries: map[string]Registry{f.host(): {CAFile: caFile(t, f.Server)}},
		})
		doc, err := s.Resolve(t.Context(), f.ref(":1"))
		if kind == nil && (err != nil || string(doc.Data) != document) {
			t.Errorf("%d bytes, %v", len(doc.Data), err)
		}
		if kind != nil {
			wantError(t, err, kind, "token service", "the holder of the token")
		}
	}
}

func TestHalfACredentialIsNoConfiguration(t *testing.T) {
	for _, r := range []Registry{{Username: "robot"}, {PasswordFile: "/password"}} {
		if _, err := New(Config{Registries: map[string]Registry{"registry.example": r}}); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("error %v, want fault.ErrMalformed", err)
		}
	}
}

func FuzzAuthFile(f *testing.F) {
	f.Add([]byte(`{"auths":{"registry.example":{"auth":"Y2FuYXJ5OmNhbmFyeQ=="}}}`))
	f.Add([]byte(`{"auths":{"https://registry.example/v1/":{"identitytoken":"canary"}},"credsStore":"x"}`))
	f.Add([]byte(`{"auths":{"registry.example":{"auth":"canary"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := readAuths(data, "registry.example")
		if err != nil && (i != identity{}) {
			t.Error("credentials come with an error")
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if text := i.String(); len(text) > 600 {
			t.Errorf("a name of %d bytes", len(text))
		}
	})
}
