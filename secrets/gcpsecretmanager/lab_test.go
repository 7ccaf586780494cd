package gcpsecretmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/gcpsecretmanager"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// password is the canary: no error and no log may show it.
const password = "C4nary-Passw0rd!"

const (
	host  = "secretmanager.googleapis.com"
	email = "gmsa-agent@contoso-prod.iam.gserviceaccount.com"
	gmsa  = "gcpsecretmanager://projects/contoso-prod/secrets/gmsa"
)

// lab is a double with one project, from which the machine's service account
// may read.
type lab struct {
	*gcpdouble.Double
	project *gcpdouble.Project
}

func newLab(t *testing.T) *lab {
	t.Helper()
	d, err := gcpdouble.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop() })
	l := &lab{d, d.Project("contoso-prod")}
	d.Attach(email)
	l.project.Allow("serviceAccount:" + email)
	l.project.Add("secrets/gmsa", content("svc-gmsa", password))
	return l
}

// config is that of a store which asks as the machine's service account.
func (l *lab) config() gcpsecretmanager.Config {
	return gcpsecretmanager.Config{Projects: []string{"contoso-prod"}}
}

// keyed is that of one which has a service account's key.
func (l *lab) keyed(t *testing.T) (*gcpdouble.ServiceAccount, gcpsecretmanager.Config) {
	t.Helper()
	a := l.ServiceAccount(email)
	file, err := a.KeyFile()
	if err != nil {
		t.Fatal(err)
	}
	cfg := l.config()
	cfg.Credentials, cfg.CredentialsFile = "key_file", write(t, "key.json", string(file))
	return a, cfg
}

const subject = "system:serviceaccount:gmsa:agent"

// federated is that of one which has a subject token in a file.
func (l *lab) federated(t *testing.T) (*gcpdouble.Provider, map[string]any, gcpsecretmanager.Config) {
	t.Helper()
	o := l.Provider(l.project, "cluster", "oidc")
	l.project.Allow(o.Trust(subject))
	f := map[string]any{
		"type": "external_account", "audience": o.Audience, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url": "https://sts.googleapis.com/v1/token", "universe_domain": "googleapis.com",
		"credential_source": map[string]any{"file": write(t, "token", l.subjectToken(t, o)), "format": map[string]any{"type": "text"}},
	}
	return o, f, l.with(t, f)
}

// with is that of one with a credential configuration.
func (l *lab) with(t *testing.T, federation map[string]any) gcpsecretmanager.Config {
	t.Helper()
	text, err := json.Marshal(federation)
	if err != nil {
		t.Fatal(err)
	}
	cfg := l.config()
	cfg.Credentials, cfg.CredentialsFile = "workload_identity", write(t, "federation.json", string(text))
	return cfg
}

func (l *lab) subjectToken(t *testing.T, o *gcpdouble.Provider) string {
	t.Helper()
	text, err := o.SubjectToken(subject, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (l *lab) open(t *testing.T, cfg gcpsecretmanager.Config) *gcpsecretmanager.Store {
	t.Helper()
	s, err := gcpsecretmanager.NewVia(cfg, l.Dial, l.Roots())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// write writes a file of its own that nobody else can read.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(user, password string) []byte {
	b, _ := json.Marshal(map[string]string{"username": user, "password": password, "domainName": "contoso.com"}) // texts
	return b
}

func ref(t *testing.T, s string) secrets.Ref {
	t.Helper()
	r, err := secrets.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// expect fetches and checks the password.
func expect(t *testing.T, s secrets.Store, reference, want string) *secrets.Credential {
	t.Helper()
	c, err := s.Fetch(t.Context(), ref(t, reference))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Password.Bytes()); got != want {
		t.Fatalf("fetched %q, want %q", got, want)
	}
	return c
}

// refused fetches, and checks that the error is of exactly one kind, names the
// reference and the causes, and shows nothing of what the servers said.
func refused(t *testing.T, l *lab, s secrets.Store, reference string, kind error, causes ...string) error {
	t.Helper()
	return refusedIn(t, t.Context(), l, s, reference, kind, causes...)
}

func refusedIn(t *testing.T, ctx context.Context, l *lab, s secrets.Store, reference string, kind error, causes ...string) error {
	t.Helper()
	c, err := s.Fetch(ctx, ref(t, reference))
	if err == nil {
		c.Wipe()
		t.Fatalf("fetched, want %v", kind)
	}
	for _, k := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed, errors.ErrUnsupported} {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("errors.Is(err, %q) = %v, want kind %q: %v", k, k != kind, kind, err)
		}
	}
	for _, cause := range append(causes, ref(t, reference).String()) {
		if !strings.Contains(err.Error(), cause) {
			t.Errorf("the error does not say %q: %v", cause, err)
		}
	}
	clean(t, l, fmt.Sprintf("%v %+v %#v", err, err, err))
	return err
}

// clean checks that a text shows no password, no token, and nothing that the
// servers said.
func clean(t *testing.T, l *lab, text string) {
	t.Helper()
	for _, secret := range append(l.Tokens(), password, gcpdouble.Canary) {
		if form := secretstest.Leaked(text, []byte(secret)); form != "" {
			t.Errorf("shows %q as %s: %s", secret, form, text)
		}
	}
}

// asked is how many requests a part got.
func (l *lab) asked(s gcpdouble.Service) int { return len(l.Requests(s)) }

// put writes a file in a folder that is made.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// executable writes a program.
func executable(t *testing.T, text string) string {
	t.Helper()
	path := write(t, "program", text)
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
