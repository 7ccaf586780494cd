package gcpsecretmanager_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

const html = "<html><title>" + gcpdouble.Canary + password + "</title></html>"

func respell(old, new string) gcpdouble.Fault {
	return gcpdouble.Respell(func(s string) string { return strings.Replace(s, old, new, 1) })
}

func TestWhatSecretManagerAnswersIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		fault  gcpdouble.Fault
		kind   error
		causes []string
		asked  int // requests; 0: net/http may try a connection twice
	}{
		"400":                      {gcpdouble.Status(400), fault.ErrMalformed, []string{"INVALID_ARGUMENT"}, 1},
		"401 with a new token":     {gcpdouble.Status(401), fault.ErrDenied, []string{"does not accept the token of this host's service account"}, 1},
		"401 of an account":        {gcpdouble.Refusal(401, "UNAUTHENTICATED", "ACCOUNT_STATE_INVALID"), fault.ErrDenied, []string{"disabled or deleted"}, 1},
		"403":                      {gcpdouble.Status(403), fault.ErrDenied, []string{"refuses this host's service account", "may not read this secret, or there is no such"}, 1},
		"403 of a scope":           {gcpdouble.Refusal(403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), fault.ErrDenied, []string{"access scopes lack cloud-platform"}, 1},
		"403 of a perimeter":       {gcpdouble.Refusal(403, "PERMISSION_DENIED", "SECURITY_POLICY_VIOLATED"), fault.ErrDenied, []string{"VPC Service Controls"}, 1},
		"404":                      {gcpdouble.Status(404), fault.ErrNotFound, nil, 1},
		"a precondition":           {gcpdouble.Refusal(400, "FAILED_PRECONDITION", ""), fault.ErrDenied, []string{"disabled or destroyed, or its key"}, 1},
		"409":                      {gcpdouble.Status(409), fault.ErrUnavailable, []string{"409", "ABORTED"}, 1},
		"429":                      {gcpdouble.Throttled(""), fault.ErrUnavailable, []string{"429", "RESOURCE_EXHAUSTED"}, 3},
		"429 that asks for long":   {gcpdouble.Throttled("30"), fault.ErrUnavailable, []string{"429", "wait for 30 s"}, 1},
		"429 that asks for ever":   {gcpdouble.Throttled("99999999999999999999"), fault.ErrUnavailable, []string{"429"}, 3},
		"499":                      {gcpdouble.Status(499), fault.ErrUnavailable, []string{"499", "CANCELLED"}, 1},
		"500":                      {gcpdouble.Status(500), fault.ErrUnavailable, []string{"500", "INTERNAL"}, 3},
		"501":                      {gcpdouble.Status(501), fault.ErrUnavailable, []string{"501", "UNIMPLEMENTED"}, 1},
		"503":                      {gcpdouble.Status(503), fault.ErrUnavailable, []string{"503", "UNAVAILABLE"}, 3},
		"504":                      {gcpdouble.Status(504), fault.ErrUnavailable, []string{"504", "DEADLINE_EXCEEDED"}, 3},
		"an error that is a page":  {gcpdouble.Answer(502, "text/html", html), fault.ErrUnavailable, []string{"502"}, 3},
		"another success":          {gcpdouble.Answer(204, "application/json", ""), fault.ErrUnavailable, []string{"204"}, 1},
		"a redirect":               {gcpdouble.Redirect("https://evil.example/"), fault.ErrUnavailable, []string{"307", "no redirect is followed"}, 1},
		"a page":                   {gcpdouble.Answer(200, "text/html", html), fault.ErrUnavailable, []string{"something else than JSON"}, 1},
		"the secret as a page":     {gcpdouble.AsHTML, fault.ErrUnavailable, []string{"something else than JSON"}, 1},
		"no JSON":                  {gcpdouble.Answer(200, "application/json", html), fault.ErrUnavailable, []string{"something else than a secret"}, 1},
		"nothing":                  {gcpdouble.Answer(200, "application/json", ""), fault.ErrUnavailable, []string{"something else than a secret"}, 1},
		"JSON of another kind":     {gcpdouble.Answer(200, "application/json", `["`+password+`"]`), fault.ErrUnavailable, []string{"something else than a secret"}, 1},
		"an empty answer":          {gcpdouble.Answer(200, "application/json", `{}`), fault.ErrUnavailable, []string{"something else than this secret"}, 1},
		"half, with a length":      {gcpdouble.Truncated, fault.ErrUnavailable, []string{"closed the connection"}, 3},
		"half, without a length":   {gcpdouble.Chunked, fault.ErrUnavailable, []string{"closed the connection"}, 3},
		"no end":                   {gcpdouble.Endless, fault.ErrUnavailable, []string{"more than 131072 bytes"}, 1},
		"no answer":                {gcpdouble.Closed, fault.ErrUnavailable, []string{"closed the connection"}, 0},
		"another secret":           {respell("/secrets/gmsa/", "/secrets/other/"), fault.ErrUnavailable, []string{"something else than this secret"}, 1},
		"one of a region":          {respell("/secrets/gmsa/", "/locations/europe-west3/secrets/gmsa/"), fault.ErrUnavailable, nil, 1},
		"one of another project":   {respell("projects/1", "projects/fabrikam-1"), fault.ErrUnavailable, nil, 1},
		"a version without number": {respell("/versions/1", "/versions/latest"), fault.ErrUnavailable, nil, 1},
		"another checksum":         {respell(`"dataCrc32c": "`, `"dataCrc32c": "1`), fault.ErrUnavailable, []string{"damaged on its way", "checksum"}, 1},
		"no checksum":              {respell(`"dataCrc32c"`, `"other"`), fault.ErrUnavailable, []string{"without its checksum"}, 1},
		"no payload":               {respell(`"payload"`, `"other"`), fault.ErrUnavailable, []string{"without the secret's content"}, 1},
		"other content":            {respell(`"data": "`, `"data": "AAAA`), fault.ErrUnavailable, []string{"checksum"}, 1},
		"no base64":                {respell(`"data": "`, `"data": "!`), fault.ErrUnavailable, []string{"something else than a secret"}, 1},
		"the password as a code":   {gcpdouble.Refusal(403, password, password), fault.ErrDenied, nil, 1},
		"the password as a status": {gcpdouble.Refusal(400, password, password), fault.ErrMalformed, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.open(t, l.config())
			l.FailAlways(gcpdouble.SecretManager, c.fault)
			refused(t, l, s, gmsa, c.kind, c.causes...)
			if n := l.asked(gcpdouble.SecretManager); n != c.asked && c.asked != 0 {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
			l.FailAlways(gcpdouble.SecretManager, nil)
			expect(t, s, gmsa, password)
		})
	}
}

func TestAFailureThatPassesIsNotNoticed(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.Fail(gcpdouble.SecretManager, gcpdouble.Status(503), gcpdouble.Closed)
	l.Fail(gcpdouble.MetadataServer, gcpdouble.Status(500), gcpdouble.Throttled("0"))
	l.Fail(gcpdouble.MetadataServer, gcpdouble.WithoutFlavor)
	refused(t, l, s, gmsa, fault.ErrUnavailable, "is not Google's metadata server") // not even a failure of Google's
	l.FailAlways(gcpdouble.MetadataServer, nil)
	expect(t, s, gmsa, password)
	l.Fail(gcpdouble.SecretManager, gcpdouble.Truncated, gcpdouble.Throttled(""))
	expect(t, s, gmsa, password)
}

func TestRetryAfterIsRespected(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	expect(t, s, gmsa, password)
	l.Fail(gcpdouble.SecretManager, gcpdouble.Throttled("1"))
	start := time.Now()
	expect(t, s, gmsa, password)
	if took := time.Since(start); took < time.Second { // never less, however busy the machine
		t.Errorf("asked again after %v", took)
	}
}

func TestHowLongToWaitIsToldToTheCache(t *testing.T) {
	for name, part := range map[string]gcpdouble.Service{"Secret Manager": gcpdouble.SecretManager, "metadata": gcpdouble.MetadataServer} {
		l := newLab(t)
		l.FailAlways(part, gcpdouble.Flavored(gcpdouble.Throttled("17")))
		err := refused(t, l, l.open(t, l.config()), gmsa, fault.ErrUnavailable, "wait for 17 s")
		if e, ok := errors.AsType[secrets.Throttle](err); !ok || e.RetryAfter() != 17*time.Second {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestASecretThatMayNotBeReadSaysWhy(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.project.Set("secrets/gmsa", "1", gcpdouble.Disabled)
	refused(t, l, s, gmsa, fault.ErrDenied, "it is disabled")
	l.project.Set("secrets/gmsa", "1", gcpdouble.Enabled)
	expect(t, s, gmsa, password)
	l.project.Set("secrets/gmsa", "1", gcpdouble.Destroyed)
	refused(t, l, s, gmsa, fault.ErrDenied, "it is destroyed")
	l.project.Add("secrets/gmsa", content("svc-gmsa", password))
	expect(t, s, gmsa, password)
	l.project.DisableAPI(true)
	refused(t, l, s, gmsa, fault.ErrDenied, "the API is not enabled in the project", "SERVICE_DISABLED")
	l.project.DisableAPI(false)
	l.project.Forbid("serviceAccount:" + email)
	refused(t, l, s, gmsa, fault.ErrDenied, "refuses this host's service account")
	l.Attach(email, "https://www.googleapis.com/auth/devstorage.read_only")
	refused(t, l, l.open(t, l.config()), gmsa, fault.ErrDenied, "access scopes lack cloud-platform")
}

// TestWhoMayReadOneSecretIsNotToldOfOthers is the least permission.
func TestWhoMayReadOneSecretIsNotToldOfOthers(t *testing.T) {
	l := newLab(t)
	l.project.Forbid("serviceAccount:" + email)
	l.project.AllowOne("serviceAccount:"+email, "secrets/gmsa")
	s := l.open(t, l.config())
	expect(t, s, gmsa, password)
	l.project.Add("secrets/other", content("svc", password))
	for _, name := range []string{"other", "absent"} {
		refused(t, l, s, "gcpsecretmanager://projects/contoso-prod/secrets/"+name, fault.ErrDenied, "or there is no such secret")
	}
}

func TestContentThatIsNoCredentialIsNotShown(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	for _, value := range []string{password, `{"username":"` + password + `"}`, "", "contoso.com\\svc:" + strings.Repeat(password, 100), "\xff\xfe" + password} {
		l.project.Add("secrets/gmsa", []byte(value))
		refused(t, l, s, gmsa, fault.ErrMalformed)
	}
}

func TestTheLargestSecretIsRead(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	head := string(content("svc-gmsa", password))
	l.project.Add("secrets/gmsa", []byte(head+strings.Repeat(" ", 64<<10-len(head))))
	expect(t, s, gmsa, password)
	l.project.Add("secrets/gmsa", []byte(head+strings.Repeat(" ", 64<<10-len(head)+1)))
	refused(t, l, s, gmsa, fault.ErrMalformed)
}

func TestWhoDoesNotAnswerIsGivenUpWithTheContext(t *testing.T) {
	for name, part := range map[string]gcpdouble.Service{"Secret Manager": gcpdouble.SecretManager, "metadata": gcpdouble.MetadataServer} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.open(t, l.config())
			l.FailAlways(part, gcpdouble.Slow)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := refusedIn(t, ctx, l, s, gmsa, fault.ErrUnavailable); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the error does not wrap the context's: %v", err)
			}
			l.FailAlways(part, nil)
			expect(t, s, gmsa, password)
		})
	}
}

func TestAPauseEndsWithTheContext(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.FailAlways(gcpdouble.SecretManager, gcpdouble.Throttled("4"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	refusedIn(t, ctx, l, s, gmsa, fault.ErrUnavailable)
	if n := l.asked(gcpdouble.SecretManager); n > 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestACertificateThatIsNotTrustedEndsIt(t *testing.T) {
	for name, c := range map[string]struct {
		kind gcpdouble.Certificate
		want string
	}{
		"expired":   {gcpdouble.Expired, "which is not now"},
		"another":   {gcpdouble.OtherHost, "other.example"},
		"untrusted": {gcpdouble.Untrusted, "not trusted here"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			_, cfg := l.keyed(t)
			s := l.open(t, cfg)
			expect(t, s, gmsa, password)
			before := l.Requested()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			l.Present(c.kind)
			refused(t, l, s, gmsa, fault.ErrUnavailable, host, c.want)
			refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, "oauth2.googleapis.com", c.want)
			if n := l.Requested(); n != before {
				t.Errorf("%d requests", n-before)
			}
			l.Present(gcpdouble.Good)
			expect(t, s, gmsa, password)
		})
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
