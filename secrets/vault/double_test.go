package vault

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// token is the one that the stores of these tests have.
const token = "hvs.canary-token"

// double is a server that says what a test wants, by path below /v1/, and beside
// it what an empty Vault with a key-value engine at kv/ says. It is for what a
// real one cannot be brought to.
type double struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	asked    map[string]int
}

func newDouble(t *testing.T, answers map[string]http.HandlerFunc) *double {
	t.Helper()
	d := &double{asked: map[string]int{}}
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/v1/")
		d.mu.Lock()
		d.requests = append(d.requests, r)
		d.asked[path]++
		d.mu.Unlock()
		answer, ok := answers[path]
		switch {
		case ok:
			answer(w, r)
		case path == "auth/token/lookup-self":
			fmt.Fprint(w, `{"data":{"ttl":0,"renewable":false}}`)
		case strings.HasPrefix(path, "sys/internal/ui/mounts/kv/"):
			fmt.Fprint(w, `{"data":{"path":"kv/","type":"kv","options":{"version":"2"}}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"errors":[]}`)
		}
	}))
	d.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that break off are the purpose
	d.EnableHTTP2 = true
	d.StartTLS()
	t.Cleanup(d.Close)
	return d
}

func (d *double) count(path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[path]
}

// config is one for the double.
func (d *double) config(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	ca, tokenFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Certificate().Raw}), 0o600))
	must(t, os.WriteFile(tokenFile, []byte(token), 0o600))
	return Config{Address: d.URL, CAFile: ca, Auth: Auth{TokenFile: tokenFile}}
}

func (d *double) store(t *testing.T) *Store {
	t.Helper()
	s := open(t, d.config(t))
	s.pauses = []time.Duration{time.Millisecond, time.Millisecond}
	return s
}

const good = `{"data":{"data":{"username":"svc","password":"one","domainName":"contoso.com"},"metadata":{"version":1,"created_time":"2026-01-02T03:04:05Z","deletion_time":""}}}`

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAnswersHaveTheKindThatTheyMean(t *testing.T) {
	long := strings.Repeat("x", maxAnswer)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		text   string
	}{
		"denied":              {says(403, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`), fault.ErrDenied, "403 Forbidden: 1 error occurred: * permission denied"},
		"absent":              {says(404, `{"errors":[]}`), fault.ErrNotFound, "404 Not Found"},
		"no page":             {says(404, `<html>`), fault.ErrUnavailable, "not Vault's"},
		"a proxy's refusal":   {says(403, `<html>canary</html>`), fault.ErrUnavailable, "not Vault's"},
		"sealed":              {says(503, `{"errors":["Vault is sealed"]}`), fault.ErrUnavailable, "sealed"},
		"broken":              {says(500, `{"errors":["internal error"]}`), fault.ErrUnavailable, "500"},
		"busy":                {says(429, `{"errors":["rate limit quota exceeded"]}`), fault.ErrUnavailable, "429"},
		"wrong":               {says(400, `{"errors":["missing client token"]}`), fault.ErrUnavailable, "missing client token"},
		"a login page":        {says(200, `<html>`), fault.ErrUnavailable, "not Vault's"},
		"nothing":             {says(204, ``), fault.ErrUnavailable, "not Vault's"},
		"no data":             {says(200, `{"errors":[]}`), fault.ErrUnavailable, "not Vault's"},
		"data of another":     {says(200, `{"data":["canary"]}`), fault.ErrUnavailable, "not Vault's"},
		"no version":          {says(200, `{"data":{}}`), fault.ErrNotFound, "no data"},
		"not a credential":    {says(200, `{"data":{"data":{"canary":"canary"}}}`), fault.ErrMalformed, "without username"},
		"a version of no map": {says(200, `{"data":{"data":"canary"}}`), fault.ErrMalformed, "neither"},
		"too long":            {says(200, `{"data":{"data":{"x":"`+long+`"}}}`), fault.ErrMalformed, "more than"},
		"a refusal too long":  {says(500, `{"errors":["`+long+`"]}`), fault.ErrMalformed, "more than"},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			_, _ = io.WriteString(w, good[:len(good)/2])
		}, fault.ErrUnavailable, "without an answer"},
		"a closed connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fault.ErrUnavailable, "without an answer"},
		"what was sent": {func(w http.ResponseWriter, r *http.Request) {
			says(403, `{"errors":["permission denied for `+r.Header.Get("X-Vault-Token")+`"]}`)(w, r)
		}, fault.ErrDenied, "permission denied for [redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDouble(t, map[string]http.HandlerFunc{"kv/data/contoso": c.answer})
			_, err := d.store(t).Fetch(t.Context(), ref("kv/contoso"))
			wantError(t, err, c.kind, "fetch vault://kv/contoso", c.text)
		})
	}
}

func TestWhatMayHelpIsTriedAgainAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		tries  int
	}{
		"broken":          {says(500, `{"errors":[]}`), 3},
		"lagging behind":  {says(412, `{"errors":[]}`), 3},
		"busy":            {says(429, `{"errors":[]}`), 3},
		"gone":            {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 3},
		"sealed":          {says(503, `{"errors":["Vault is sealed"]}`), 1},
		"not implemented": {says(501, `{"errors":[]}`), 1},
		"denied":          {says(403, `{"errors":["permission denied"]}`), 1},
		"wrong":           {says(400, `{"errors":["no"]}`), 1},
		"told to wait for long": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3600")
			says(429, `{"errors":[]}`)(w, r)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDouble(t, map[string]http.HandlerFunc{"kv/data/contoso": c.answer})
			_, err := d.store(t).Fetch(t.Context(), ref("kv/contoso"))
			if err == nil {
				t.Error("no error")
			}
			if throttle, ok := errors.AsType[secrets.Throttle](err); strings.Contains(name, "wait") && (!ok || throttle.RetryAfter() != time.Hour) {
				t.Errorf("%v does not say when to come back", err)
			}
			// net/http itself repeats what an old connection was closed on.
			if n := d.count("kv/data/contoso"); n != c.tries && (name != "gone" || n < c.tries) {
				t.Errorf("asked %d times, want %d", n, c.tries)
			}
		})
	}
	var failures atomic.Int32
	d := newDouble(t, map[string]http.HandlerFunc{"kv/data/contoso": func(w http.ResponseWriter, r *http.Request) {
		if failures.Add(1) < 3 {
			says(503, `{"errors":["temporarily"]}`)(w, r)
			return
		}
		says(200, good)(w, r)
	}})
	wantPassword(t, d.store(t), ref("kv/contoso"), "one")
}

func TestALoginIsTriedAgainOnlyIfItWasNotDone(t *testing.T) {
	dir := t.TempDir()
	role := filepath.Join(dir, "role")
	must(t, os.WriteFile(role, []byte("role"), 0o600))
	for tries, answer := range map[int]http.HandlerFunc{
		1: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		3: says(429, `{"errors":[]}`),
	} {
		d := newDouble(t, map[string]http.HandlerFunc{"auth/approle/login": answer})
		cfg := d.config(t)
		cfg.Auth = Auth{Method: "approle", RoleIDFile: role}
		s := open(t, cfg)
		s.pauses = []time.Duration{time.Millisecond, time.Millisecond}
		_, err := s.Fetch(t.Context(), ref("kv/contoso"))
		wantError(t, err, fault.ErrUnavailable, "log in by approle")
		if n := d.count("auth/approle/login"); n != tries {
			t.Errorf("asked %d times, want %d", n, tries)
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Int32
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 307, 308} {
		for _, to := range []string{elsewhere.URL, "/v1/kv/data/other"} {
			d := newDouble(t, map[string]http.HandlerFunc{
				"kv/data/contoso": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) },
				"kv/data/other":   func(http.ResponseWriter, *http.Request) { followed.Add(1) },
			})
			_, err := d.store(t).Fetch(t.Context(), ref("kv/contoso"))
			wantError(t, err, fault.ErrUnavailable, fmt.Sprint(status), "redirects are not followed")
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestTheEnvironmentChangesNothing(t *testing.T) {
	d := newDouble(t, map[string]http.HandlerFunc{"kv/data/contoso": says(200, good)})
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the trap was asked") }))
	defer trap.Close()
	for name, value := range map[string]string{
		"VAULT_ADDR": trap.URL, "VAULT_AGENT_ADDR": trap.URL, "VAULT_PROXY_ADDR": trap.URL, "VAULT_HTTP_PROXY": trap.URL,
		"HTTP_PROXY": trap.URL, "HTTPS_PROXY": trap.URL, "ALL_PROXY": trap.URL, "NO_PROXY": "",
		"VAULT_TOKEN": "hvs.other", "VAULT_NAMESPACE": "other", "VAULT_HEADERS": `{"X-Other":"other"}`, "VAULT_WRAP_TTL": "1h",
		"VAULT_CACERT": "/does/not/exist", "VAULT_CACERT_BYTES": "no", "VAULT_CLIENT_CERT": "/does/not/exist", "VAULT_SKIP_VERIFY": "perhaps",
		"VAULT_CLIENT_TIMEOUT": "soon", "VAULT_MAX_RETRIES": "-1", "VAULT_RATE_LIMIT": "x", "VAULT_SRV_LOOKUP": "x",
		"VAULT_DISABLE_REDIRECTS": "x", "VAULT_LOG_LEVEL": "trace", "VAULT_TLS_SERVER_NAME": "other",
	} {
		t.Setenv(name, value)
	}
	cfg := d.config(t)
	cfg.Namespace = "team"
	s := open(t, cfg)
	s.pauses = nil
	wantPassword(t, s, ref("kv/contoso"), "one")
	for _, r := range d.requests {
		if r.Header.Get("X-Vault-Token") != token || r.Header.Get("X-Vault-Namespace") != "team" || r.Header.Get("X-Other") != "" || r.Header.Get("X-Vault-Wrap-Ttl") != "" {
			t.Errorf("%s was asked with %v", r.URL, r.Header)
		}
		if r.Proto != "HTTP/1.1" {
			t.Errorf("%s was asked by %s, which GODEBUG can have printed", r.URL, r.Proto)
		}
	}
}

func TestNothingIsSentForAReferenceThatIsNotAllowed(t *testing.T) {
	d := newDouble(t, nil)
	cfg := d.config(t)
	cfg.Allowed = func(path string) bool { return strings.HasPrefix(path, "kv/gmsa/") }
	s := open(t, cfg)
	for _, r := range []secrets.Ref{ref("kv/other"), ref("sys/mounts")} {
		_, err := s.Fetch(t.Context(), r)
		wantError(t, err, fault.ErrDenied, "secrets.vault.paths")
	}
	for _, rest := range []string{"kv/gmsa/../../sys/mounts", "kv//gmsa", "kv/gmsa/%2e%2e", "kv/gmsa/x?y", "kv/gmsa/", "kv"} {
		_, err := s.Fetch(t.Context(), secrets.Ref{Scheme: Scheme, Rest: rest})
		wantError(t, err, fault.ErrMalformed)
	}
	if len(d.requests) > 0 {
		t.Errorf("%d requests were sent", len(d.requests))
	}
}

func TestAMountThatIsNoneOfThePathIsNotBelieved(t *testing.T) {
	for _, mount := range []string{`"path":"secret/"`, `"path":"kv/contoso/"`, `"path":"kv/con"`, `"path":""`, `"path":"/"`, `"path":"kv/contoso"`} {
		d := newDouble(t, map[string]http.HandlerFunc{"sys/internal/ui/mounts/kv/contoso": says(200, `{"data":{"type":"kv",`+mount+`}}`)})
		_, err := d.store(t).Fetch(t.Context(), ref("kv/contoso"))
		wantError(t, err, fault.ErrUnavailable, "not Vault's")
	}
}

func TestAnEngineOfAVersionToComeIsUnsupported(t *testing.T) {
	d := newDouble(t, map[string]http.HandlerFunc{"sys/internal/ui/mounts/kv/contoso": says(200, `{"data":{"type":"kv","path":"kv/","options":{"version":"3"}}}`)})
	_, err := d.store(t).Fetch(t.Context(), ref("kv/contoso"))
	wantError(t, err, errors.ErrUnsupported, `version "3"`)
}

func TestAServerThatIsNotTrustedGetsNoToken(t *testing.T) {
	d := newDouble(t, nil)
	cfg := d.config(t)
	cfg.CAFile = ""
	s := open(t, cfg)
	_, err := s.Fetch(t.Context(), ref("kv/contoso"))
	wantError(t, err, fault.ErrUnavailable, s.host, "certificate")
	if len(d.requests) > 0 {
		t.Error("a request was sent")
	}
	cfg.CAFile = filepath.Join(t.TempDir(), "absent")
	_, err = open(t, cfg).Fetch(t.Context(), ref("kv/contoso"))
	wantError(t, err, fault.ErrUnavailable, "CA file "+cfg.CAFile)
}

func TestASlowServerHoldsNobodyLongerThanHeWaits(t *testing.T) {
	hang := make(chan struct{})
	d := newDouble(t, map[string]http.HandlerFunc{"kv/data/contoso": func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}})
	defer close(hang)
	s := d.store(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.Fetch(ctx, ref("kv/contoso"))
	wantError(t, err, fault.ErrUnavailable, context.DeadlineExceeded.Error())
}

func TestWhoWaitsForALoginThatHangsGoesWhenHisTimeIsOver(t *testing.T) {
	hang := make(chan struct{})
	begun := make(chan struct{}, 1)
	d := newDouble(t, map[string]http.HandlerFunc{"auth/token/lookup-self": func(w http.ResponseWriter, r *http.Request) {
		select {
		case begun <- struct{}{}:
		default:
		}
		<-hang
		fmt.Fprint(w, `{"data":{"ttl":0}}`)
	}, "kv/data/contoso": says(200, good)})
	s := d.store(t)
	first := make(chan error)
	go func() {
		c, err := s.Fetch(t.Context(), ref("kv/contoso"))
		c.Wipe()
		first <- err
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	go func() {
		_, err := s.Fetch(ctx, ref("kv/contoso"))
		second <- err
	}()
	cancel()
	wantError(t, <-second, fault.ErrUnavailable, context.Canceled.Error())
	close(hang)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := d.count("auth/token/lookup-self"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestTimesAreThoseOfVaultsClock(t *testing.T) {
	for _, ahead := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		now := time.Now().Add(ahead).UTC()
		d := newDouble(t, map[string]http.HandlerFunc{"kv/data/contoso": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", now.Format(http.TimeFormat))
			says(200, strings.Replace(good, `"deletion_time":""`, `"deletion_time":"`+now.Add(time.Hour).Format(time.RFC3339Nano)+`"`, 1))(w, r)
		}})
		c := wantPassword(t, d.store(t), ref("kv/contoso"), "one")
		if left := time.Until(c.Expires); left < 59*time.Minute || left > 61*time.Minute {
			t.Errorf("a clock %v ahead: expires in %v", ahead, left)
		}
	}
}

func TestNewRefusesWhatCannotBeMeant(t *testing.T) {
	for _, cfg := range []Config{
		{Address: "vault.contoso.com"}, {Address: "http://vault.contoso.com"}, {Address: "https://user:canary@vault"}, {Address: "https://vault?x=1"},
		{Auth: Auth{Method: "userpass"}}, {Auth: Auth{Method: "approle", Mount: "a/../sys"}}, {Auth: Auth{Method: "jwt", Mount: "a?b"}},
	} {
		_, err := New(cfg)
		wantError(t, err, fault.ErrMalformed, "secrets.vault.")
	}
	for _, cfg := range []Config{
		{}, {Address: "https://vault"}, {Address: "http://127.0.0.1:8200", Auth: Auth{Method: "approle"}},
		{Address: "http://127.0.0.1:8200", Auth: Auth{Method: "jwt"}}, {Address: "http://127.0.0.1:8200", Auth: Auth{Method: "cert"}},
	} {
		_, err := open(t, cfg).Fetch(t.Context(), ref("kv/contoso"))
		wantError(t, err, errors.ErrUnsupported, "secrets.vault.")
	}
}

// What the SDK, net/http and this package print, with everything on that makes
// them talk, has nothing secret in it.
func TestNothingSecretIsPrinted(t *testing.T) {
	if os.Getenv("VAULT_CANARY") == "child" {
		canary(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingSecretIsPrinted$", "-test.v")
	cmd.Env = append(os.Environ(), "VAULT_CANARY=child", "VAULT_LOG_LEVEL=trace", "VAULT_LOG_FORMAT=json",
		"GODEBUG=http2debug=2,netdns=2", "DEBUG=*", "HTTP_DEBUG=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !bytes.Contains(out, []byte("it was fetched")) {
		t.Fatalf("the child has not run: %s", out)
	}
	for _, secret := range []string{"C4nary-passw0rd", token, "C4nary-secret-id", "hvs.C4nary-login"} {
		if form := secretstest.Leaked(string(out), []byte(secret)); form != "" {
			t.Errorf("%s is printed (%s)", secret, form)
		}
	}
}

func canary(t *testing.T) {
	answer := strings.Replace(good, `"one"`, `"C4nary-passw0rd"`, 1)
	d := newDouble(t, map[string]http.HandlerFunc{
		"kv/data/contoso":    says(200, answer),
		"kv/data/broken":     says(200, answer[:len(answer)-9]),
		"auth/approle/login": says(200, `{"auth":{"client_token":"hvs.C4nary-login","lease_duration":3600,"renewable":true}}`),
		"kv/data/denied": func(w http.ResponseWriter, r *http.Request) {
			says(403, `{"errors":["`+r.Header.Get("X-Vault-Token")+`"]}`)(w, r)
		},
	})
	dir := t.TempDir()
	role, secret := filepath.Join(dir, "role"), filepath.Join(dir, "secret")
	must(t, os.WriteFile(role, []byte("role"), 0o600))
	must(t, os.WriteFile(secret, []byte("C4nary-secret-id"), 0o600))
	byRole := d.config(t)
	byRole.Auth = Auth{Method: "approle", RoleIDFile: role, SecretIDFile: secret}
	for _, s := range []*Store{d.store(t), open(t, byRole)} {
		for _, name := range []string{"contoso", "broken", "denied", "absent"} {
			c, err := s.Fetch(t.Context(), ref("kv/"+name))
			t.Logf("%v %+v %#v %v %+v", c, c, c, err, s.current().client.Token() == "")
			if err == nil {
				t.Log("it was fetched")
			}
			c.Wipe()
		}
	}
}
