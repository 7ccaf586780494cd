package gcpsecretmanager_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestAKeyFileIsReadAgainForEachToken(t *testing.T) {
	l := newLab(t)
	a, cfg := l.keyed(t)
	s := l.open(t, cfg)
	expect(t, s, gmsa, password)
	if n := l.asked(gcpdouble.MetadataServer); n != 0 {
		t.Errorf("the metadata server was asked %d times", n)
	}
	a.DeleteKeys()
	l.RevokeTokens()
	refused(t, l, s, gmsa, fault.ErrDenied, "no token for the service account "+email, "the key was deleted or disabled", "400 invalid_grant")
	file, err := a.KeyFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.CredentialsFile, file, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, s, gmsa, password)
}

func TestWhatGoogleAnswersToAKeyIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		fault  gcpdouble.Fault
		kind   error
		causes []string
	}{
		"a clock that is wrong": {gcpdouble.OAuthRefusal(400, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "+gcpdouble.Canary), fault.ErrDenied, []string{"is this host's clock right?"}},
		"no such account":       {gcpdouble.OAuthRefusal(400, "invalid_grant", "Invalid grant: account not found"), fault.ErrDenied, []string{"there is no such service account"}},
		"another error":         {gcpdouble.OAuthRefusal(401, "unauthorized_client", gcpdouble.Canary), fault.ErrDenied, []string{"401 unauthorized_client"}},
		"an unknown error":      {gcpdouble.OAuthRefusal(400, password, password), fault.ErrDenied, []string{"oauth2.googleapis.com answers 400"}},
		"one that passes":       {gcpdouble.OAuthRefusal(400, "temporarily_unavailable", password), fault.ErrUnavailable, []string{"temporarily_unavailable"}},
		"429":                   {gcpdouble.Throttled(""), fault.ErrUnavailable, []string{"429"}},
		"500":                   {gcpdouble.Status(500), fault.ErrUnavailable, []string{"500"}},
		"a redirect":            {gcpdouble.Redirect("https://evil.example/"), fault.ErrUnavailable, []string{"307"}},
		"a page":                {gcpdouble.Answer(200, "text/html", html), fault.ErrUnavailable, []string{"something else than JSON"}},
		"no JSON":               {gcpdouble.Answer(200, "application/json", html), fault.ErrUnavailable, []string{"something else than a token"}},
		"no token":              {gcpdouble.Answer(200, "application/json", "{}"), fault.ErrUnavailable, []string{"the answer is none"}},
		"half an answer":        {gcpdouble.Truncated, fault.ErrUnavailable, []string{"closed the connection"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			_, cfg := l.keyed(t)
			s := l.open(t, cfg)
			l.FailAlways(gcpdouble.OAuth, c.fault)
			refused(t, l, s, gmsa, c.kind, append(c.causes, email)...)
			l.FailAlways(gcpdouble.OAuth, nil)
			expect(t, s, gmsa, password)
		})
	}
}

func TestAKeyFileThatIsNoneIsTold(t *testing.T) {
	l := newLab(t)
	a, cfg := l.keyed(t)
	good, err := a.KeyFile()
	if err != nil {
		t.Fatal(err)
	}
	change := func(key, value string) string {
		var f map[string]string
		if err := json.Unmarshal(good, &f); err != nil {
			t.Fatal(err)
		}
		f[key] = value
		b, _ := json.Marshal(f) // texts
		return string(b)
	}
	for text, want := range map[string]string{
		"":                                       "is not JSON",
		password:                                 "is not JSON",
		`[]`:                                     "is not JSON",
		`{"type":1}`:                             "is not JSON, or not of this kind",
		change("type", "authorized_user"):        "not of type service_account",
		change("type", "external_account"):       "not of type service_account",
		change("universe_domain", "s3nsapis.fr"): "of another cloud",
		change("client_email", "x\r\ny@z"):       "no client_email",
		change("private_key_id", ""):             "no private_key_id",
		change("private_key", password):          "has no private_key",
		change("private_key", "-----BEGIN PRIVATE KEY-----\nQzRuYXJ5\n-----END PRIVATE KEY-----\n"): "cannot be signed with",
		strings.Repeat("x", 1<<20): "longer than",
	} {
		cfg.CredentialsFile = write(t, "key.json", text)
		refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, cfg.CredentialsFile, want)
	}
	cfg.CredentialsFile = filepath.Join(t.TempDir(), "absent")
	refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, cfg.CredentialsFile)
	if n := l.Requested(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestAKeyFileDoesNotSayWhereItsSignatureGoes: Google's own files name the token
// endpoint.
func TestAKeyFileDoesNotSayWhereItsSignatureGoes(t *testing.T) {
	l := newLab(t)
	_, cfg := l.keyed(t)
	b, err := os.ReadFile(cfg.CredentialsFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg.CredentialsFile = write(t, "key.json", strings.ReplaceAll(string(b), "https://oauth2.googleapis.com/token", "https://evil.example/token"))
	expect(t, l.open(t, cfg), gmsa, password)
}

func TestAKeyFileThatOthersCanReadIsNotUsed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are not Windows' permissions")
	}
	l := newLab(t)
	_, cfg := l.keyed(t)
	if err := os.Chmod(cfg.CredentialsFile, 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, cfg.CredentialsFile, "is not used")
	if n := l.Requested(); n != 0 {
		t.Errorf("%d requests", n)
	}
}
