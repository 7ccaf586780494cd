package gcpsecretmanager_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets/gcpsecretmanager"
)

// identities are the ways to a token.
func identities() map[string]func(*testing.T, *lab) gcpsecretmanager.Config {
	return map[string]func(*testing.T, *lab) gcpsecretmanager.Config{
		"metadata": func(_ *testing.T, l *lab) gcpsecretmanager.Config { return l.config() },
		"key file": func(t *testing.T, l *lab) gcpsecretmanager.Config { _, cfg := l.keyed(t); return cfg },
		"workload": func(t *testing.T, l *lab) gcpsecretmanager.Config { _, _, cfg := l.federated(t); return cfg },
	}
}

// TestATokenThatIsRefusedIsReplacedOnce is a token that was revoked, and a clock
// that is behind.
func TestATokenThatIsRefusedIsReplacedOnce(t *testing.T) {
	for name, configure := range identities() {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.open(t, configure(t, l))
			expect(t, s, gmsa, password)
			expect(t, s, gmsa, password)
			l.RevokeTokens()
			expect(t, s, gmsa, password)
			if n := len(l.Tokens()); n != 2 {
				t.Errorf("%d tokens were issued, want 2", n)
			}
			l.TokenLifetime(-time.Minute, time.Hour) // the new ones have expired, as the service sees it
			l.RevokeTokens()
			refused(t, l, s, gmsa, fault.ErrDenied, "does not accept the token")
			if n := len(l.Tokens()); n != 3 {
				t.Errorf("%d tokens were issued, want 3", n)
			}
			l.TokenLifetime(0, 0)
			expect(t, s, gmsa, password)
		})
	}
}

// TestATokenThatIsDueIsReplacedBeforeItsEnd: what is left of it may not last.
func TestATokenThatIsDueIsReplacedBeforeItsEnd(t *testing.T) {
	l := newLab(t)
	l.TokenLifetime(time.Hour, 3*time.Minute)
	s := l.open(t, l.config())
	expect(t, s, gmsa, password)
	expect(t, s, gmsa, password)
	if n := len(l.Tokens()); n != 2 {
		t.Errorf("%d tokens were issued, want 2", n)
	}
}

func TestManyCallersGetOneToken(t *testing.T) {
	for name, configure := range identities() {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.open(t, configure(t, l))
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					c, err := s.Fetch(t.Context(), ref(t, gmsa))
					if err != nil {
						t.Error(err)
					}
					c.Wipe()
				})
			}
			wg.Wait()
			if n := len(l.Tokens()); n != 1 {
				t.Errorf("%d tokens were issued, want 1", n)
			}
		})
	}
}

func TestATokenIsForSecretManagersScopeAndInNoAddress(t *testing.T) {
	l := newLab(t)
	expect(t, l.open(t, l.config()), gmsa, password)
	asked := l.Requests(gcpdouble.MetadataServer)
	if len(asked) != 1 || asked[0].Header.Get("Metadata-Flavor") != "Google" || !strings.HasSuffix(asked[0].Path, "/default/token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform") {
		t.Errorf("the metadata server was asked %+v", asked)
	}
	for _, r := range l.Requests(gcpdouble.SecretManager) {
		if strings.Contains(r.Path, "ya29") || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ya29.") {
			t.Errorf("asked %+v", r)
		}
	}
}

func TestWhatTheMetadataServerAnswersIsTold(t *testing.T) {
	flavored := func(status int, kind, body string) gcpdouble.Fault {
		return gcpdouble.Flavored(gcpdouble.Answer(status, kind, body))
	}
	for name, c := range map[string]struct {
		fault  gcpdouble.Fault
		kind   error
		causes []string
		asked  int
	}{
		"403":                     {flavored(403, "text/html", html), fault.ErrDenied, []string{"403"}, 1},
		"404":                     {flavored(404, "text/html", html), fault.ErrDenied, []string{"404"}, 1},
		"429":                     {gcpdouble.Flavored(gcpdouble.Throttled("")), fault.ErrUnavailable, []string{"429"}, 3},
		"429 that asks for long":  {gcpdouble.Flavored(gcpdouble.Throttled("60")), fault.ErrUnavailable, []string{"wait for 60 s"}, 1},
		"500":                     {flavored(500, "text/html", html), fault.ErrUnavailable, []string{"500"}, 3},
		"503":                     {flavored(503, "text/html", html), fault.ErrUnavailable, []string{"503"}, 3},
		"a redirect":              {gcpdouble.Flavored(gcpdouble.Redirect("http://127.0.0.1:1/")), fault.ErrUnavailable, []string{"307"}, 1},
		"a page":                  {flavored(200, "text/html", html), fault.ErrUnavailable, []string{"something else than JSON"}, 1},
		"no JSON":                 {flavored(200, "application/json", html), fault.ErrUnavailable, []string{"the answer is none"}, 1},
		"no token":                {flavored(200, "application/json", "{}"), fault.ErrUnavailable, []string{"the answer is none"}, 1},
		"a header's end in it":    {flavored(200, "application/json", `{"access_token":"x\r\nX-Evil: 1","expires_in":3600}`), fault.ErrUnavailable, []string{"the answer is none"}, 1},
		"a token of another type": {flavored(200, "application/json", `{"access_token":"x","expires_in":3600,"token_type":"MAC"}`), fault.ErrUnavailable, []string{"the answer is none"}, 1},
		"somebody else":           {gcpdouble.WithoutFlavor, fault.ErrUnavailable, []string{"is not Google's metadata server"}, 1},
		"half an answer":          {gcpdouble.Truncated, fault.ErrUnavailable, []string{"closed the connection"}, 3},
		"no end":                  {gcpdouble.Flavored(gcpdouble.Endless), fault.ErrUnavailable, []string{"more than"}, 1},
		"no answer":               {gcpdouble.Closed, fault.ErrUnavailable, []string{"closed the connection"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.open(t, l.config())
			l.FailAlways(gcpdouble.MetadataServer, c.fault)
			refused(t, l, s, gmsa, c.kind, c.causes...)
			if n := l.asked(gcpdouble.MetadataServer); n != c.asked && c.asked != 0 {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
			if n := l.asked(gcpdouble.SecretManager); n != 0 {
				t.Errorf("Secret Manager was asked %d times", n)
			}
			l.FailAlways(gcpdouble.MetadataServer, nil)
			expect(t, s, gmsa, password)
		})
	}
}

func TestAHostWithoutAServiceAccountIsTold(t *testing.T) {
	l := newLab(t)
	l.Detach()
	refused(t, l, l.open(t, l.config()), gmsa, fault.ErrDenied, "no token for this host's service account", "it has none")
}
