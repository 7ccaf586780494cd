package azurekeyvault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

const html = "<html><title>" + azuredouble.Canary + password + "</title></html>"

func TestWhatAVaultAnswersIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		fault  azuredouble.Fault
		kind   error
		causes []string
		asked  int // requests, the first of which has no token; 0: net/http may try a connection twice
	}{
		"400":                     {azuredouble.Status(400), fault.ErrMalformed, []string{"400"}, 2},
		"401 after the token":     {azuredouble.Status(401), fault.ErrDenied, []string{"does not accept the token", "object id"}, 2},
		"403":                     {azuredouble.Status(403), fault.ErrDenied, []string{"refuses the managed identity with object id"}, 2},
		"404":                     {azuredouble.Status(404), fault.ErrNotFound, nil, 2},
		"408":                     {azuredouble.Status(408), fault.ErrUnavailable, []string{"408"}, 4},
		"410":                     {azuredouble.Status(410), fault.ErrUnavailable, []string{"410"}, 2},
		"429":                     {azuredouble.Throttled(""), fault.ErrUnavailable, []string{"429", "Throttled"}, 4},
		"429 that asks for long":  {azuredouble.Throttled("30"), fault.ErrUnavailable, []string{"429", "wait for 30 s"}, 2},
		"500":                     {azuredouble.Status(500), fault.ErrUnavailable, []string{"500"}, 4},
		"503":                     {azuredouble.Status(503), fault.ErrUnavailable, []string{"503"}, 4},
		"an error that is a page": {azuredouble.Answer(502, "text/html", html), fault.ErrUnavailable, []string{"502"}, 4},
		"another success":         {azuredouble.Answer(204, "application/json", ""), fault.ErrUnavailable, []string{"204"}, 2},
		"a redirect":              {azuredouble.Redirect("https://evil.example/secrets/gmsa"), fault.ErrUnavailable, []string{"307", "no redirect is followed"}, 2},
		"a page":                  {azuredouble.Answer(200, "text/html", html), fault.ErrUnavailable, []string{"something else than JSON"}, 2},
		"the secret as a page":    {azuredouble.AsHTML, fault.ErrUnavailable, []string{"something else than JSON"}, 2},
		"no JSON":                 {azuredouble.Answer(200, "application/json", html), fault.ErrUnavailable, []string{"something else than a secret"}, 2},
		"nothing":                 {azuredouble.Answer(200, "application/json", ""), fault.ErrUnavailable, []string{"something else than this secret"}, 2},
		"JSON of another kind":    {azuredouble.Answer(200, "application/json", `["`+password+`"]`), fault.ErrUnavailable, []string{"something else than a secret"}, 2},
		"half, with a length":     {azuredouble.Truncated, fault.ErrUnavailable, []string{"closed the connection"}, 4},
		"half, without a length":  {azuredouble.Chunked, fault.ErrUnavailable, []string{"closed the connection"}, 4},
		"no end":                  {azuredouble.Endless, fault.ErrUnavailable, []string{"more than 262144 bytes"}, 2},
		"no answer":               {azuredouble.Closed, fault.ErrUnavailable, []string{"closed the connection"}, 0},
		"another name":            {azuredouble.Respell(func(s string) string { return strings.Replace(s, "/secrets/gmsa/", "/secrets/other/", 1) }), fault.ErrUnavailable, []string{"something else than this secret"}, 2},
		"another vault":           {azuredouble.Respell(func(s string) string { return strings.Replace(s, "https://contoso.", "https://fabrikam.", 1) }), fault.ErrUnavailable, nil, 2},
		"no version":              {azuredouble.Respell(func(s string) string { return strings.Replace(s, "/secrets/gmsa/", "/secrets/gmsa/x", 1) }), fault.ErrUnavailable, nil, 2},
		"no value":                {azuredouble.Respell(func(s string) string { return strings.Replace(s, `"value":`, `"other":`, 1) }), fault.ErrUnavailable, []string{"without the secret's value"}, 2},
		"disabled, and serves it": {azuredouble.Respell(func(s string) string { return strings.Replace(s, `"enabled":true`, `"enabled":false`, 1) }), fault.ErrDenied, []string{"is disabled"}, 2},
		"the password as a code":  {azuredouble.Answer(403, "application/json", fmt.Sprintf(`{"error":{"code":%q,"innererror":{"code":%[1]q}}}`, password)), fault.ErrDenied, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.open(t, l.config())
			l.Fail(azuredouble.KeyVault, nil, c.fault, c.fault, c.fault, c.fault)
			refused(t, l, s, gmsa, c.kind, append(c.causes, host)...)
			if n := l.asked(azuredouble.KeyVault); n != c.asked && c.asked != 0 {
				t.Errorf("the vault was asked %d times, want %d", n, c.asked)
			}
			l.FailAlways(azuredouble.KeyVault, nil)
			expect(t, s, gmsa, password)
		})
	}
}

func TestAFailureThatPassesIsNotNoticed(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.Fail(azuredouble.KeyVault, azuredouble.Status(503), azuredouble.Closed)
	l.Fail(azuredouble.IMDS, azuredouble.Status(410), azuredouble.Throttled("0"))
	expect(t, s, gmsa, password)
	l.Fail(azuredouble.KeyVault, azuredouble.Truncated, azuredouble.Throttled(""))
	expect(t, s, gmsa, password)
}

func TestRetryAfterIsRespected(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	expect(t, s, gmsa, password)
	l.Fail(azuredouble.KeyVault, azuredouble.Throttled("1"))
	start := time.Now()
	expect(t, s, gmsa, password)
	if took := time.Since(start); took < time.Second { // never less, however busy the machine
		t.Errorf("asked again after %v", took)
	}
}

func TestHowLongToWaitIsToldToTheCache(t *testing.T) {
	for name, part := range map[string]azuredouble.Service{"vault": azuredouble.KeyVault, "IMDS": azuredouble.IMDS} {
		l := newLab(t)
		l.FailAlways(part, azuredouble.Throttled("17"))
		err := refused(t, l, l.open(t, l.config()), gmsa, fault.ErrUnavailable, "wait for 17 s")
		if e, ok := errors.AsType[secrets.Throttle](err); !ok || e.RetryAfter() != 17*time.Second {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestASecretThatMayNotBeReadSaysWhy(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.vault.Forbid(l.id.ObjectID)
	refused(t, l, s, gmsa, fault.ErrDenied, "no role that lets it read the secret", "ForbiddenByRbac", l.id.ObjectID)
	l.vault.Allow(l.id.ObjectID)
	l.vault.Change("gmsa", azuredouble.Attributes{Disabled: true})
	refused(t, l, s, gmsa, fault.ErrDenied, "the secret is disabled")
	l.vault.Change("gmsa", azuredouble.Attributes{})
	expect(t, s, gmsa, password)
	for inner, want := range map[string]string{
		"ForbiddenByFirewall": "firewall", "ForbiddenByConnection": "private endpoints only", "ForbiddenByPolicy": "no access policy", "AccessDenied": "no access policy",
	} {
		l.Fail(azuredouble.KeyVault, azuredouble.Answer(403, "application/json", `{"error":{"code":"Forbidden","message":"`+azuredouble.Canary+`","innererror":{"code":"`+inner+`"}}}`))
		refused(t, l, s, gmsa, fault.ErrDenied, want, inner)
	}
}

// TestDatesAreTheVaultsToJudge: a vault hands a secret out before its nbf and
// after its exp.
func TestDatesAreTheVaultsToJudge(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.vault.Change("gmsa", azuredouble.Attributes{Expires: time.Now().Add(-time.Hour)})
	expect(t, s, gmsa, password)
	l.vault.Change("gmsa", azuredouble.Attributes{NotBefore: time.Now().Add(time.Hour)})
	expect(t, s, gmsa, password)
}

func TestContentThatIsNoCredentialIsNotShown(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	for _, value := range []string{password, `{"username":"` + password + `"}`, "", "contoso.com\\svc:" + strings.Repeat(password, 100)} {
		l.vault.Set("gmsa", value)
		refused(t, l, s, gmsa, fault.ErrMalformed)
	}
}

func TestAVaultThatHasNoAddressIsUnavailable(t *testing.T) {
	l := newLab(t)
	cfg := l.config()
	cfg.Vaults = []string{"deleted.vault.azure.net"}
	refused(t, l, l.open(t, cfg), "azurekeyvault://deleted.vault.azure.net/secrets/gmsa", fault.ErrUnavailable, "no address for", "no such host")
}

func TestAVaultThatDoesNotAnswerIsGivenUpWithTheContext(t *testing.T) {
	for _, part := range []azuredouble.Service{azuredouble.KeyVault, azuredouble.IMDS} {
		l := newLab(t)
		s := l.open(t, l.config())
		l.FailAlways(part, azuredouble.Slow)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := refusedIn(t, ctx, l, s, gmsa, fault.ErrUnavailable)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("not for the deadline: %v", err)
		}
		l.FailAlways(part, nil)
		expect(t, s, gmsa, password)
	}
}

// TestACallerDoesNotWaitForAnother: the SDK has one caller fetch a token, and
// the others wait for that without looking at their contexts.
func TestACallerDoesNotWaitForAnother(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.FailAlways(azuredouble.IMDS, azuredouble.Slow)
	patient, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.Fetch(patient, ref(t, gmsa))
		done <- err
	}()
	deadline := time.Now().Add(20 * time.Second)
	for l.asked(azuredouble.IMDS) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("nobody asks IMDS")
		}
		time.Sleep(time.Millisecond)
	}
	hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	refusedIn(t, hurried, l, s, gmsa, fault.ErrUnavailable)
	select {
	case err := <-done:
		t.Errorf("the first caller did not wait: %v", err)
	default:
	}
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestACertificateThatIsNotTheVaultsIsNotTrusted(t *testing.T) {
	for want, kind := range map[string]azuredouble.Certificate{
		"signed by a CA that is not trusted": azuredouble.Untrusted, "is for": azuredouble.OtherHost, "which is not now": azuredouble.Expired,
	} {
		l := newLab(t)
		l.Present(kind)
		refused(t, l, l.open(t, l.config()), gmsa, fault.ErrUnavailable, host, "the server's certificate", want)
		_, cfg := l.certified(t)
		refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, "the server's certificate")
		if n := l.asked(azuredouble.KeyVault) + l.asked(azuredouble.IMDS) + l.asked(azuredouble.Entra); n != 0 {
			t.Errorf("%d requests went through", n)
		}
	}
}

func TestAServerThatIsGoneIsUnavailable(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	expect(t, s, gmsa, password)
	if err := l.Stop(); err != nil {
		t.Fatal(err)
	}
	refused(t, l, s, gmsa, fault.ErrUnavailable, host, "nobody listens there")
}
