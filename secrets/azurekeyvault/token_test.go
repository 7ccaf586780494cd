package azurekeyvault_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets/azurekeyvault"
)

// TestATokenThatAVaultRefusesIsReplacedOnce is a token that was revoked, and a
// clock that is behind: the SDK takes the token to be valid, and gives it out
// again.
func TestATokenThatAVaultRefusesIsReplacedOnce(t *testing.T) {
	for name, configure := range map[string]func(*testing.T, *lab) azurekeyvault.Config{
		"managed":     func(_ *testing.T, l *lab) azurekeyvault.Config { return l.config() },
		"workload":    func(t *testing.T, l *lab) azurekeyvault.Config { _, cfg := l.workload(t); return cfg },
		"certificate": func(t *testing.T, l *lab) azurekeyvault.Config { _, cfg := l.certified(t); return cfg },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.open(t, configure(t, l))
			expect(t, s, gmsa, password)
			l.RevokeTokens()
			expect(t, s, gmsa, password)
			if n := len(l.Tokens()); n != 2 {
				t.Errorf("%d tokens were issued, want 2", n)
			}
			l.TokenLifetime(-time.Minute, time.Hour) // the new ones have expired, as the vault sees it
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

// TestATokenThatHasExpiredOnArrivalIsUsed is a clock that is far ahead.
func TestATokenThatHasExpiredOnArrivalIsUsed(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.TokenLifetime(time.Hour, -time.Hour)
	expect(t, s, gmsa, password)
	expect(t, s, gmsa, password)
}

func TestVaultsOfOneCloudShareAToken(t *testing.T) {
	l := newLab(t)
	v, err := l.Vault("fabrikam.vault.azure.net")
	if err != nil {
		t.Fatal(err)
	}
	app, cfg := l.certified(t)
	v.Allow(app.ObjectID)
	v.Set("gmsa", content("svc-gmsa", "other"))
	cfg.Vaults = append(cfg.Vaults, v.Host)
	s := l.open(t, cfg)
	expect(t, s, gmsa, password)
	expect(t, s, "azurekeyvault://"+v.Host+"/secrets/gmsa", "other")
	if n := len(l.Tokens()); n != 1 {
		t.Errorf("%d tokens were issued, want 1", n)
	}
}

func TestManyCallersGetOneToken(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
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
	// Each that elicits a challenge of its own may find the token refused.
	if n := len(l.Tokens()); n > 16 {
		t.Errorf("%d tokens were issued", n)
	}
	before := len(l.Tokens())
	expect(t, s, gmsa, password)
	if n := len(l.Tokens()); n != before {
		t.Errorf("%d more tokens were issued", n-before)
	}
}

func TestWhatIMDSAnswersIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		fault  azuredouble.Fault
		kind   error
		causes []string
		asked  int
	}{
		"400":                    {azuredouble.Status(400), fault.ErrDenied, []string{"is not assigned to this host", "400"}, 1},
		"403":                    {azuredouble.Status(403), fault.ErrDenied, []string{"403"}, 1},
		"404":                    {azuredouble.Status(404), fault.ErrUnavailable, []string{"404"}, 3},
		"410":                    {azuredouble.Status(410), fault.ErrUnavailable, []string{"410"}, 3},
		"429":                    {azuredouble.Throttled(""), fault.ErrUnavailable, []string{"429"}, 3},
		"429 that asks for long": {azuredouble.Throttled("60"), fault.ErrUnavailable, []string{"wait for 60 s"}, 1},
		"500":                    {azuredouble.Status(500), fault.ErrUnavailable, []string{"500"}, 3},
		"a redirect":             {azuredouble.Redirect("http://127.0.0.1:1/metadata/identity/oauth2/token"), fault.ErrUnavailable, []string{"307"}, 1},
		"a page":                 {azuredouble.Answer(200, "text/html", html), fault.ErrUnavailable, []string{"IMDS answers with something else than JSON"}, 1},
		"no JSON":                {azuredouble.Answer(200, "application/json", html), fault.ErrUnavailable, []string{"something else than a token"}, 1},
		"a token's half":         {azuredouble.Respell(func(s string) string { return s[:len(s)/2] }), fault.ErrUnavailable, []string{"something else than a token"}, 1},
		"half an answer":         {azuredouble.Truncated, fault.ErrUnavailable, []string{"closed the connection"}, 3},
		"no end":                 {azuredouble.Endless, fault.ErrUnavailable, []string{"more than"}, 1},
		"no answer":              {azuredouble.Closed, fault.ErrUnavailable, []string{"closed the connection"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.open(t, l.config())
			l.FailAlways(azuredouble.IMDS, c.fault)
			refused(t, l, s, gmsa, c.kind, append(c.causes, "no token for the managed identity with object id "+l.id.ObjectID)...)
			if n := l.asked(azuredouble.IMDS); n != c.asked && c.asked != 0 {
				t.Errorf("IMDS was asked %d times, want %d", n, c.asked)
			}
			if n := l.asked(azuredouble.KeyVault); n != 1 { // the challenge
				t.Errorf("the vault was asked %d times, want 1", n)
			}
			l.FailAlways(azuredouble.IMDS, nil)
			expect(t, s, gmsa, password)
		})
	}
}

func TestAnIdentityThatIsNotAssignedIsNamed(t *testing.T) {
	l := newLab(t)
	s := l.open(t, azurekeyvault.Config{Vaults: []string{host}})
	id := azuredouble.NewID()
	refused(t, l, s, gmsa+"?client_id="+id, fault.ErrDenied, "client id "+id, "is not assigned to this host", "invalid_request")
	l.Assign(false) // two user-assigned ones, and none of the host's own
	s = l.open(t, azurekeyvault.Config{Vaults: []string{host}})
	l.vault.Forbid(l.id.ObjectID)
	_, err := s.Fetch(t.Context(), ref(t, gmsa))
	if err == nil {
		t.Error("fetched as nobody")
	}
}

func TestWhatEntraIDAnswersIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		fault  azuredouble.Fault
		kind   error
		causes []string
	}{
		"temporarily unavailable": {azuredouble.Answer(400, "application/json", `{"error":"temporarily_unavailable","error_description":"`+azuredouble.Canary+`"}`), fault.ErrUnavailable, []string{"temporarily_unavailable"}},
		"429":                     {azuredouble.Throttled(""), fault.ErrUnavailable, []string{"Entra ID answers 429"}},
		"500":                     {azuredouble.Status(500), fault.ErrUnavailable, []string{"Entra ID answers 500"}},
		"a redirect":              {azuredouble.Redirect("https://login.evil.example/"), fault.ErrUnavailable, []string{"307"}},
		"a page":                  {azuredouble.Answer(200, "text/html", html), fault.ErrUnavailable, []string{"Entra ID answers with something else than JSON"}},
		"no JSON":                 {azuredouble.Answer(200, "application/json", html), fault.ErrUnavailable, []string{"something else than a token"}},
		"no answer":               {azuredouble.Closed, fault.ErrUnavailable, []string{"closed the connection"}},
		"half an answer":          {azuredouble.Truncated, fault.ErrUnavailable, []string{"closed the connection"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			_, cfg := l.workload(t)
			// Its discovery, then the token.
			for _, before := range [][]azuredouble.Fault{nil, {nil}} {
				s := l.open(t, cfg)
				l.Fail(azuredouble.Entra, append(before, c.fault, c.fault, c.fault)...)
				refused(t, l, s, gmsa, c.kind, append(c.causes, "no token for the workload identity")...)
				l.FailAlways(azuredouble.Entra, nil)
				expect(t, s, gmsa, password)
			}
		})
	}
}

// TestWhatAnApplicationProvesItselfWithGoesToEntraIDOnly is a discovery that
// names another token endpoint.
func TestWhatAnApplicationProvesItselfWithGoesToEntraIDOnly(t *testing.T) {
	l := newLab(t)
	_, cfg := l.workload(t)
	l.Fail(azuredouble.Entra, azuredouble.Respell(func(s string) string {
		return strings.Replace(s, `"token_endpoint":"https://login.microsoftonline.com/`, `"token_endpoint":"https://`+host+`/`, 1)
	}))
	refused(t, l, l.open(t, cfg), gmsa, fault.ErrDenied, "at another place than its own")
	for _, r := range l.Requests(azuredouble.KeyVault) {
		if len(r.Form) != 0 {
			t.Errorf("the vault got %v", r.Form)
		}
	}
}
