package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/vaultlab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// shared is started by the first test that needs it and stopped after the last
// one. Tests that take the server down start one of their own.
var shared struct {
	sync.Once
	lab *vaultlab.Lab
	err error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if shared.lab != nil {
		if err := shared.lab.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

func startLab(t *testing.T) *vaultlab.Lab {
	t.Helper()
	if err := vaultlab.Ready(); err != nil {
		t.Skip(err)
	}
	shared.Do(func() {
		ctx := context.Background()
		if shared.lab, shared.err = vaultlab.Start(ctx, vaultlab.Options{Report: lab.Report(t)}); shared.err == nil {
			shared.err = errors.Join(shared.lab.KV(ctx, "kv", 2), shared.lab.KV(ctx, "legacy", 1))
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.lab
}

func startOwnLab(t *testing.T) *vaultlab.Lab {
	t.Helper()
	if err := vaultlab.Ready(); err != nil {
		t.Skip(err)
	}
	l, err := vaultlab.Start(t.Context(), vaultlab.Options{Report: lab.Report(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	must(t, l.KV(t.Context(), "kv", 2))
	return l
}

// example is a policy of the page for administrators.
func example(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", "vault", name))
	must(t, err)
	return string(b)
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// as is a store that has a token of its own kind.
func as(t *testing.T, l *vaultlab.Lab, token string) *Store {
	t.Helper()
	return open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: Auth{Method: "token", TokenFile: file(t, token)}})
}

// parts are a credential's, as a key-value engine holds them.
func parts(c *secrets.Credential) map[string]any {
	return map[string]any{"username": c.User, "password": string(c.Password.Bytes()), "domainName": c.Domain}
}

// putKV2 writes a secret, which goes with the test.
func putKV2(t *testing.T, l *vaultlab.Lab, path string, value any) {
	t.Helper()
	t.Cleanup(func() { _ = l.Delete(context.Background(), "kv/metadata/"+path) }) // or with the lab
	must(t, l.Write(t.Context(), "kv/data/"+path, map[string]any{"data": value}))
}

func contoso(password string) map[string]any {
	return parts(secretstest.New("contoso.com", "svc", password))
}

func TestStore(t *testing.T) {
	l := startLab(t)
	s := as(t, l, l.Root)
	for engine, version := range map[string]int{"kv": 2, "legacy": 1} {
		data := engine + "/"
		if version == 2 {
			data += "data/"
		}
		write := func(path string, value map[string]any) error {
			if version == 2 {
				value = map[string]any{"data": value}
			}
			return l.Write(context.Background(), data+path, value)
		}
		t.Run(engine, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) secretstest.Backend {
				dir := strings.ReplaceAll(t.Name(), "/", "-")
				return secretstest.Backend{
					Store: s,
					Ref: func(name string) secrets.Ref {
						return secrets.Ref{Scheme: Scheme, Rest: engine + "/" + dir + "/" + name}
					},
					Put:    func(name string, c *secrets.Credential) error { return write(dir+"/"+name, parts(c)) },
					Remove: func(name string) error { return l.Delete(context.Background(), data+dir+"/"+name) },
					Damage: func(name string) error {
						return write(dir+"/"+name, map[string]any{"username": "svc", "passphrase": "C4nary-of-the-damaged"})
					},
				}
			})
		})
	}
}

func TestAFieldHasContentInAnyForm(t *testing.T) {
	l := startLab(t)
	s := as(t, l, l.Root)
	object := contoso(`pä"ss`)
	text, err := json.Marshal(object)
	must(t, err)
	fields := map[string]any{"text": `contoso.com\svc:pä"ss`, "json": string(text), "object": object, "number": 1, "a&b": `svc@contoso.com:pä"ss`}
	putKV2(t, l, "fields", fields)
	must(t, l.Write(t.Context(), "legacy/fields", fields))
	for _, engine := range []string{"kv", "legacy"} {
		for _, field := range []string{"text", "json", "object", "a%26b"} {
			wantPassword(t, s, ref(engine+"/fields?field="+field), `pä"ss`)
		}
		_, err = s.Fetch(t.Context(), ref(engine+"/fields?field=none"))
		wantError(t, err, fault.ErrNotFound, "no field of that name")
		_, err = s.Fetch(t.Context(), ref(engine+"/fields?field=number"))
		wantError(t, err, fault.ErrMalformed, "neither an object nor a text")
		_, err = s.Fetch(t.Context(), ref(engine+"/fields"))
		wantError(t, err, fault.ErrMalformed, "without username and password")
	}
}

func TestVersionIsThatOfTheSecret(t *testing.T) {
	l := startLab(t)
	s := as(t, l, l.Root)
	putKV2(t, l, "versions", contoso("one"))
	first := wantPassword(t, s, ref("kv/versions"), "one")
	if !strings.HasPrefix(first.Version, "1 of 20") || !first.Expires.IsZero() {
		t.Errorf("version %q, expires %v", first.Version, first.Expires)
	}
	putKV2(t, l, "versions", contoso("two"))
	if second := wantPassword(t, s, ref("kv/versions"), "two"); !strings.HasPrefix(second.Version, "2 of 20") {
		t.Errorf("version %q", second.Version)
	}
	// Another secret of the same name is another version 1.
	must(t, l.Delete(t.Context(), "kv/metadata/versions"))
	putKV2(t, l, "versions", contoso("three"))
	if third := wantPassword(t, s, ref("kv/versions"), "three"); third.Version == first.Version {
		t.Errorf("version %q again", third.Version)
	}
}

func TestWhatIsGoneIsNotFoundAndWhy(t *testing.T) {
	l := startLab(t)
	s := as(t, l, l.Root)
	putKV2(t, l, "gone", contoso("one"))
	must(t, l.Delete(t.Context(), "kv/data/gone"))
	_, err := s.Fetch(t.Context(), ref("kv/gone"))
	wantError(t, err, fault.ErrNotFound, "version 1 is deleted", "undelete")
	must(t, l.Write(t.Context(), "kv/undelete/gone", map[string]any{"versions": []int{1}}))
	wantPassword(t, s, ref("kv/gone"), "one")
	must(t, l.Write(t.Context(), "kv/destroy/gone", map[string]any{"versions": []int{1}}))
	_, err = s.Fetch(t.Context(), ref("kv/gone"))
	wantError(t, err, fault.ErrNotFound, "version 1 is destroyed")
	_, err = s.Fetch(t.Context(), ref("kv/data/gone"))
	wantError(t, err, fault.ErrNotFound, "404 Not Found", "no data/ after the mount")
}

func TestACredentialExpiresWhenVaultSaysSo(t *testing.T) {
	l := startLab(t)
	s := as(t, l, l.Root)
	begin := time.Now()
	within := func(what string, c *secrets.Credential, most time.Duration) {
		t.Helper()
		if c.Expires.Before(begin) || c.Expires.After(time.Now().Add(most)) {
			t.Errorf("%s expires at %v, %v after the test began", what, c.Expires, c.Expires.Sub(begin))
		}
	}
	value := contoso("one")
	value["ttl"] = "1h" // version 1's own field for it
	must(t, l.Write(t.Context(), "legacy/ttl", value))
	within("a ttl", wantPassword(t, s, ref("legacy/ttl"), "one"), time.Hour)
	must(t, l.Write(t.Context(), "kv/metadata/ends", map[string]any{"delete_version_after": "30m"}))
	putKV2(t, l, "ends", contoso("one"))
	within("delete_version_after", wantPassword(t, s, ref("kv/ends"), "one"), 31*time.Minute)
}

func TestThePolicyOfThePageIsEnoughAndNoMore(t *testing.T) {
	l := startLab(t)
	must(t, l.Policy(t.Context(), "gmsa-agent", example(t, "gmsa-agent-kv.hcl")))
	token, err := l.Token(t.Context(), nil, "gmsa-agent")
	must(t, err)
	s := as(t, l, token)
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	putKV2(t, l, "payroll/contoso", contoso("two"))
	wantPassword(t, s, ref("kv/gmsa/contoso"), "one")
	_, err = s.Fetch(t.Context(), ref("kv/gmsa/absent"))
	wantError(t, err, fault.ErrNotFound)
	_, err = s.Fetch(t.Context(), ref("kv/payroll/contoso"))
	wantError(t, err, fault.ErrDenied, "403 Forbidden", "permission denied")
	_, err = s.Fetch(t.Context(), ref("legacy/contoso"))
	wantError(t, err, fault.ErrDenied, "403 Forbidden", "grant access to path")
	_, err = s.Fetch(t.Context(), ref("nowhere/contoso"))
	wantError(t, err, fault.ErrDenied, "grant access to path")
}

func TestOnlyPlacesOfSecretsAreRead(t *testing.T) {
	l := startLab(t)
	s := as(t, l, l.Root)
	for path, text := range map[string]string{
		"sys/mounts": `"system"`, "cubbyhole/x": `"cubbyhole"`, "identity/entity": `"identity"`, "auth/token/lookup-self": "auth methods",
	} {
		_, err := s.Fetch(t.Context(), ref(path))
		wantError(t, err, fault.ErrMalformed, text, "only read from kv, ldap and ad")
	}
	allowed := open(t, Config{
		Address: l.URL, CAFile: l.CAFile, Auth: Auth{TokenFile: file(t, l.Root)},
		Allowed: func(path string) bool { return path == "kv/mine" },
	})
	putKV2(t, l, "mine", contoso("one"))
	putKV2(t, l, "others", contoso("two"))
	wantPassword(t, allowed, ref("kv/mine"), "one")
	_, err := allowed.Fetch(t.Context(), ref("kv/others"))
	wantError(t, err, fault.ErrDenied, "secrets.vault.paths")
}

func TestAnEngineThatIsExchangedIsSeen(t *testing.T) {
	l, ctx := startLab(t), t.Context()
	s := as(t, l, l.Root)
	must(t, l.KV(ctx, "moving", 1))
	must(t, l.Write(ctx, "moving/contoso", contoso("one")))
	wantPassword(t, s, ref("moving/contoso"), "one")
	must(t, l.Delete(ctx, "sys/mounts/moving"))
	must(t, l.KV(ctx, "moving", 2))
	t.Cleanup(func() { must(t, l.Delete(context.Background(), "sys/mounts/moving")) })
	must(t, l.Write(ctx, "moving/data/contoso", map[string]any{"data": contoso("two")}))
	wantPassword(t, s, ref("moving/contoso"), "two")
}

// mountAuth mounts an auth method, for a test.
func mountAuth(t *testing.T, l *vaultlab.Lab, method, path string) {
	t.Helper()
	must(t, l.Auth(t.Context(), method, path))
	t.Cleanup(func() { must(t, l.Delete(context.Background(), "sys/auth/"+path)) })
}

// appRole is a role with the policy of the page, and its files.
func appRole(t *testing.T, l *vaultlab.Lab, settings map[string]any) Auth {
	t.Helper()
	ctx := t.Context()
	mount := "approle-" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
	mountAuth(t, l, "approle", mount)
	must(t, l.Policy(ctx, "gmsa-agent", example(t, "gmsa-agent-kv.hcl")))
	role := map[string]any{"token_policies": []string{"gmsa-agent"}}
	for k, v := range settings {
		role[k] = v
	}
	must(t, l.Write(ctx, "auth/"+mount+"/role/host", role))
	id, err := l.Read(ctx, "auth/"+mount+"/role/host/role-id")
	must(t, err)
	return Auth{Method: "approle", Mount: mount, RoleIDFile: file(t, id["role_id"].(string)+"\n"), SecretIDFile: file(t, secretID(t, l, mount))}
}

func secretID(t *testing.T, l *vaultlab.Lab, mount string) string {
	t.Helper()
	var out struct {
		Data struct {
			ID string `json:"secret_id"`
		}
	}
	must(t, l.Do(t.Context(), http.MethodPut, "auth/"+mount+"/role/host/secret-id", nil, &out))
	return out.Data.ID
}

func TestAppRoleLogsInOnceForMany(t *testing.T) {
	l := startLab(t)
	auth := appRole(t, l, map[string]any{"secret_id_num_uses": 1})
	must(t, os.WriteFile(auth.SecretIDFile, []byte(secretID(t, l, auth.Mount)), 0o600))
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	s := open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: auth})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { wantPassword(t, s, ref("kv/gmsa/contoso"), "one") })
	}
	wg.Wait()
	_, err := s.Fetch(t.Context(), ref("kv/payroll/contoso"))
	wantError(t, err, fault.ErrDenied) // and not by another login, which would fail
	wantPassword(t, s, ref("kv/gmsa/contoso"), "one")
}

func TestATokenThatWasRevokedIsReplaced(t *testing.T) {
	l := startLab(t)
	s := open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: appRole(t, l, nil)})
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	wantPassword(t, s, ref("kv/gmsa/contoso"), "one")
	first := s.current()
	first.began = first.began.Add(-time.Hour)
	must(t, l.Revoke(t.Context(), first.client.Token()))
	wantPassword(t, s, ref("kv/gmsa/contoso"), "one")
	if s.current() == first {
		t.Error("the revoked token is used still")
	}
	// One that is good is not replaced for a refusal.
	second := s.current()
	second.began = second.began.Add(-time.Hour)
	_, err := s.Fetch(t.Context(), ref("kv/payroll/contoso"))
	wantError(t, err, fault.ErrDenied)
	if s.current() != second {
		t.Error("a refusal has ended the session")
	}
}

func TestATokenOfTheStoresOwnEndsWithIt(t *testing.T) {
	l := startLab(t)
	s, err := New(Config{Address: l.URL, CAFile: l.CAFile, Auth: appRole(t, l, nil)})
	must(t, err)
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	wantPassword(t, s, ref("kv/gmsa/contoso"), "one")
	token := s.current().client.Token()
	must(t, s.Close())
	err = l.Write(t.Context(), "auth/token/lookup", map[string]any{"token": token})
	if vaultlab.Code(err) != http.StatusForbidden {
		t.Errorf("the token is still good: %v", err)
	}
	_, err = s.Fetch(t.Context(), ref("kv/gmsa/contoso"))
	wantError(t, err, fault.ErrUnavailable, "closed")
}

func TestATokenIsRenewedWhileItIsUsed(t *testing.T) {
	l := startLab(t)
	must(t, l.Policy(t.Context(), "gmsa-agent", example(t, "gmsa-agent-kv.hcl")))
	token, err := l.Token(t.Context(), map[string]any{"ttl": "1h", "renewable": true}, "gmsa-agent")
	must(t, err)
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	for name, s := range map[string]*Store{
		"a token that was given": as(t, l, token),
		"a login's":              open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: appRole(t, l, map[string]any{"token_ttl": "1h"})}),
	} {
		wantPassword(t, s, ref("kv/gmsa/contoso"), "one")
		x := s.current()
		if left := time.Until(x.expires); x.timer == nil || left < 58*time.Minute || left > time.Hour {
			t.Errorf("%s: expires in %v, timer %v", name, left, x.timer)
		}
		soon := time.Now().Add(10 * time.Minute)
		for _, used := range []bool{true, false} {
			s.mu.Lock()
			x.expires, x.used = soon, used
			s.mu.Unlock()
			s.renew(x)
			s.mu.Lock()
			renewed := x.expires.After(soon)
			s.mu.Unlock()
			if want := used || !x.own; renewed != want {
				t.Errorf("%s: used %v, renewed %v", name, used, renewed)
			}
		}
	}
}

func TestTheTokenInTheFileIsTheOneThatIsUsed(t *testing.T) {
	l := startLab(t)
	must(t, l.Policy(t.Context(), "gmsa-agent", example(t, "gmsa-agent-kv.hcl")))
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	path := filepath.Join(t.TempDir(), "token")
	s := open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: Auth{TokenFile: path}})
	_, err := s.Fetch(t.Context(), ref("kv/gmsa/contoso"))
	wantError(t, err, fault.ErrUnavailable, "token_file", path)
	for i := range 3 {
		must(t, os.WriteFile(path, []byte("hvs.canary"+strings.Repeat("x", i)), 0o600))
		_, err = s.Fetch(t.Context(), ref("kv/gmsa/contoso"))
		wantError(t, err, fault.ErrDenied, "invalid token")
		token, err := l.Token(t.Context(), nil, "gmsa-agent")
		must(t, err)
		must(t, os.WriteFile(path, []byte("\ufeff"+token+"\r\n"), 0o600))
		wantPassword(t, s, ref("kv/gmsa/contoso"), "one")
	}
	must(t, os.Chmod(path, 0o644))
	s = open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: Auth{TokenFile: path}})
	_, err = s.Fetch(t.Context(), ref("kv/gmsa/contoso"))
	wantError(t, err, fault.ErrUnavailable, "token_file", path)
}

func TestATokenWithoutTheDefaultPolicyWorks(t *testing.T) {
	l := startLab(t)
	must(t, l.Policy(t.Context(), "gmsa-agent", example(t, "gmsa-agent-kv.hcl")))
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	for _, properties := range []map[string]any{{"no_default_policy": true, "ttl": "1h"}, {"type": "batch", "ttl": "1h"}} {
		token, err := l.Token(t.Context(), properties, "gmsa-agent")
		must(t, err)
		wantPassword(t, as(t, l, token), ref("kv/gmsa/contoso"), "one")
	}
}

func TestARefusedLoginIsDeniedAndNotRepeatedAtOnce(t *testing.T) {
	l := startLab(t)
	auth := appRole(t, l, nil)
	good, err := os.ReadFile(auth.SecretIDFile)
	must(t, err)
	must(t, os.WriteFile(auth.SecretIDFile, []byte("canary-0000-0000"), 0o600))
	s := open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: auth})
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	for range 3 {
		_, err = s.Fetch(t.Context(), ref("kv/gmsa/contoso"))
		wantError(t, err, fault.ErrDenied, "log in by approle", "invalid role or secret ID")
	}
	at := s.denied.at
	if _, err = s.Fetch(t.Context(), ref("kv/gmsa/contoso")); s.denied.at != at || err == nil {
		t.Errorf("the login was tried again at once: %v", err)
	}
	// Other credentials are tried at once.
	must(t, os.WriteFile(auth.SecretIDFile, good, 0o600))
	wantPassword(t, s, ref("kv/gmsa/contoso"), "one")

	s = open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: Auth{Method: "approle", Mount: "nowhere", RoleIDFile: auth.RoleIDFile}})
	if _, err = s.Fetch(t.Context(), ref("kv/gmsa/contoso")); err == nil || !strings.Contains(err.Error(), "auth/nowhere/login") {
		t.Errorf("%v", err)
	}
}
