package gcpsecretmanager_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestAWorkloadIdentityReadsAsItself(t *testing.T) {
	l := newLab(t)
	o, _, cfg := l.federated(t)
	s := l.open(t, cfg)
	expect(t, s, gmsa, password)
	asked := l.Requests(gcpdouble.STS)
	if len(asked) != 1 || asked[0].Form["audience"][0] != o.Audience || asked[0].Form["scope"][0] != gcpdouble.Scope {
		t.Errorf("the token service was asked %+v", asked)
	}
	if n := l.asked(gcpdouble.MetadataServer) + l.asked(gcpdouble.IAMCredentials) + l.asked(gcpdouble.OAuth); n != 0 {
		t.Errorf("%d requests to others", n)
	}
}

func TestAWorkloadIdentityCanBeAServiceAccount(t *testing.T) {
	l := newLab(t)
	o, f, _ := l.federated(t)
	a := l.ServiceAccount(email)
	l.project.Allow(a.Principal())
	f["service_account_impersonation_url"] = a.ImpersonationURL()
	f["service_account_impersonation"] = map[string]any{"token_lifetime_seconds": 900}
	s := l.open(t, l.with(t, f))
	refused(t, l, s, gmsa, fault.ErrDenied, "no token for the service account "+email, "lacks roles/iam.workloadIdentityUser", "PERMISSION_DENIED")
	a.Impersonate(o.Trust(subject))
	expect(t, s, gmsa, password)

	f["service_account_impersonation_url"] = strings.Replace(a.ImpersonationURL(), "gmsa-agent@", "nobody@", 1)
	refused(t, l, l.open(t, l.with(t, f)), gmsa, fault.ErrDenied, "there is no such service account")

	f["service_account_impersonation_url"] = a.ImpersonationURL()
	s = l.open(t, l.with(t, f))
	for want, c := range map[string]struct {
		fault gcpdouble.Fault
		kind  error
	}{
		"iamcredentials.googleapis.com answers 503": {gcpdouble.Status(503), fault.ErrUnavailable},
		"iamcredentials.googleapis.com answers 400": {gcpdouble.Status(400), fault.ErrDenied},
		"the API is not enabled in the project":     {gcpdouble.Refusal(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), fault.ErrDenied},
		"something else than a token":               {gcpdouble.Answer(200, "application/json", `{"accessToken":"`+password+`"}`), fault.ErrUnavailable},
	} {
		l.FailAlways(gcpdouble.IAMCredentials, c.fault)
		refused(t, l, s, gmsa, c.kind, want)
	}
	l.FailAlways(gcpdouble.IAMCredentials, nil)
	expect(t, s, gmsa, password)
}

func TestASubjectTokenIsReadAgainForEachToken(t *testing.T) {
	l := newLab(t)
	o, f, cfg := l.federated(t)
	s := l.open(t, cfg)
	file := f["credential_source"].(map[string]any)["file"].(string)
	put := func(text string, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(o.SubjectToken(subject, -time.Hour))
	refused(t, l, s, gmsa, fault.ErrDenied, "the subject token has expired")
	put(o.SubjectToken("system:serviceaccount:other:agent", time.Hour))
	refused(t, l, s, gmsa, fault.ErrDenied, "attribute condition rejects")
	put(l.Provider(l.project, "another", "oidc").SubjectToken(subject, time.Hour))
	refused(t, l, s, gmsa, fault.ErrDenied, "is for another audience")
	text, err := o.SubjectToken(subject, time.Hour)
	head, _, _ := strings.Cut(text, ".")
	put(head+strings.TrimPrefix(text, head)[:40]+"AAAA"+strings.TrimPrefix(text, head)[44:], err)
	refused(t, l, s, gmsa, fault.ErrDenied, "sts.googleapis.com answers 400 invalid_grant")
	for _, bad := range []string{"", " \n", "a b", "\x00", strings.Repeat("x", 1<<20)} {
		put(bad, nil)
		refused(t, l, s, gmsa, fault.ErrUnavailable, "subject token file "+file)
	}
	put("\n"+text+"\n", nil)
	expect(t, s, gmsa, password)
	l.RevokeTokens()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused(t, l, s, gmsa, fault.ErrUnavailable, "subject token file "+file+" cannot be read")
}

func TestWhatTheTokenServiceAnswersIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		fault  gcpdouble.Fault
		kind   error
		causes []string
	}{
		"no pool":        {gcpdouble.OAuthRefusal(400, "invalid_target", password), fault.ErrDenied, []string{"disabled or deleted, or was never there"}},
		"denied":         {gcpdouble.OAuthRefusal(403, "access_denied", password), fault.ErrDenied, []string{"403 access_denied"}},
		"429":            {gcpdouble.Throttled(""), fault.ErrUnavailable, []string{"429"}},
		"500":            {gcpdouble.Status(500), fault.ErrUnavailable, []string{"500"}},
		"a redirect":     {gcpdouble.Redirect("https://evil.example/"), fault.ErrUnavailable, []string{"307"}},
		"no JSON":        {gcpdouble.Answer(200, "application/json", html), fault.ErrUnavailable, []string{"something else than a token"}},
		"half an answer": {gcpdouble.Chunked, fault.ErrUnavailable, []string{"closed the connection"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			_, _, cfg := l.federated(t)
			s := l.open(t, cfg)
			l.FailAlways(gcpdouble.STS, c.fault)
			refused(t, l, s, gmsa, c.kind, append(c.causes, "no token for the workload identity of projects/")...)
			l.FailAlways(gcpdouble.STS, nil)
			expect(t, s, gmsa, password)
		})
	}
	l := newLab(t)
	o, _, cfg := l.federated(t)
	o.Disable(true)
	refused(t, l, l.open(t, cfg), gmsa, fault.ErrDenied, "invalid_target")
}

func TestACredentialConfigurationThatIsNotForUsIsRefused(t *testing.T) {
	l := newLab(t)
	_, good, _ := l.federated(t)
	type m = map[string]any
	for name, c := range map[string]struct {
		change m
		kind   error
		want   string
	}{
		"a program":                 {m{"credential_source": m{"executable": m{"command": "/bin/true", "timeout_millis": 5000}}}, errors.ErrUnsupported, "runs a program"},
		"a program beside a file":   {m{"credential_source": m{"file": "/x", "executable": m{"command": "/bin/true"}}}, errors.ErrUnsupported, "runs a program"},
		"AWS":                       {m{"credential_source": m{"environment_id": "aws1", "regional_cred_verification_url": "https://x"}}, errors.ErrUnsupported, "environment"},
		"a certificate":             {m{"credential_source": m{"certificate": m{"use_default_certificate_config": true}}}, errors.ErrUnsupported, "certificate"},
		"a workforce pool":          {m{"audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/x"}, errors.ErrUnsupported, "for people"},
		"a client secret":           {m{"client_id": "x", "client_secret": password}, errors.ErrUnsupported, "for people"},
		"a user":                    {m{"type": "authorized_user"}, fault.ErrUnavailable, "external_account"},
		"another cloud":             {m{"universe_domain": "s3nsapis.fr"}, fault.ErrUnavailable, "another cloud"},
		"no audience":               {m{"audience": ""}, fault.ErrUnavailable, "no audience"},
		"another token endpoint":    {m{"token_url": "https://evil.example/v1/token"}, fault.ErrUnavailable, "token_url"},
		"one that ends like it":     {m{"token_url": "https://sts.googleapis.com.evil.example/v1/token"}, fault.ErrUnavailable, "token_url"},
		"one without TLS":           {m{"token_url": "http://sts.googleapis.com/v1/token"}, fault.ErrUnavailable, "token_url"},
		"another impersonation":     {m{"service_account_impersonation_url": "https://evil.example/v1/projects/-/serviceAccounts/x:generateAccessToken"}, fault.ErrUnavailable, "service_account_impersonation_url"},
		"another method of it":      {m{"service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/x:signBlob"}, fault.ErrUnavailable, "service_account_impersonation_url"},
		"a lifetime":                {m{"service_account_impersonation": m{"token_lifetime_seconds": 1}}, fault.ErrUnavailable, "token_lifetime_seconds"},
		"another token type":        {m{"subject_token_type": "urn:ietf:params:aws:token-type:aws4_request"}, fault.ErrUnavailable, "subject_token_type"},
		"no source":                 {m{"credential_source": m{}}, fault.ErrUnavailable, "neither file nor url"},
		"two sources":               {m{"credential_source": m{"file": "/x", "url": "https://x.example"}}, fault.ErrUnavailable, "neither file nor url"},
		"a path that is relative":   {m{"credential_source": m{"file": "token"}}, fault.ErrUnavailable, "absolute"},
		"a URL without TLS":         {m{"credential_source": m{"url": "http://x.example/token"}}, fault.ErrUnavailable, "neither https nor"},
		"another scheme":            {m{"credential_source": m{"url": "file:///etc/shadow"}}, fault.ErrUnavailable, "credential_source with a url"},
		"metadata's on other ports": {m{"credential_source": m{"url": "http://169.254.169.254:8080/"}}, fault.ErrUnavailable, "neither https nor"},
		"a user in the URL":         {m{"credential_source": m{"url": "https://u:p@x.example/"}}, fault.ErrUnavailable, "url that is none"},
		"another format":            {m{"credential_source": m{"file": "/x", "format": m{"type": "xml"}}}, fault.ErrUnavailable, "format"},
		"a format without a field":  {m{"credential_source": m{"file": "/x", "format": m{"type": "json"}}}, fault.ErrUnavailable, "subject_token_field_name"},
	} {
		t.Run(name, func(t *testing.T) {
			f := maps.Clone(good)
			maps.Copy(f, c.change)
			cfg := l.with(t, f)
			refused(t, l, l.open(t, cfg), gmsa, c.kind, cfg.CredentialsFile, c.want)
		})
	}
	if n := l.Requested(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestACredentialConfigurationThatOthersCanChangeIsNotUsed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are not Windows' permissions")
	}
	l := newLab(t)
	_, _, cfg := l.federated(t)
	if err := os.Chmod(cfg.CredentialsFile, 0o644); err != nil { // it is not secret
		t.Fatal(err)
	}
	expect(t, l.open(t, cfg), gmsa, password)
	if err := os.Chmod(cfg.CredentialsFile, 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, cfg.CredentialsFile, "is not used")
}

// tokenServer gives a subject token to who sends a header, as the metadata
// servers of other clouds do.
func tokenServer(text *string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "True" {
			http.Error(w, gcpdouble.Canary, http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, *text)
	})
}

func TestASubjectTokenOfThisHostIsAskedFor(t *testing.T) {
	l := newLab(t)
	o, f, _ := l.federated(t)
	b, _ := json.Marshal(map[string]any{"access_token": l.subjectToken(t, o), "expires_in": 60}) // texts and numbers
	text := string(b)
	server := httptest.NewServer(tokenServer(&text))
	t.Cleanup(server.Close)
	source := map[string]any{"url": server.URL + "/token?resource=x", "format": map[string]any{"type": "json", "subject_token_field_name": "access_token"}}
	f["credential_source"] = source
	refused(t, l, l.open(t, l.with(t, f)), gmsa, fault.ErrDenied, "subject token's 127.0.0.1", "403")
	source["headers"] = map[string]string{"Metadata": "True"}
	s := l.open(t, l.with(t, f))
	expect(t, s, gmsa, password)
	l.RevokeTokens()
	for _, text = range []string{password, "[]", `{"access_token":1}`, `{"access_token":""}`, `{}`} {
		refused(t, l, s, gmsa, fault.ErrUnavailable, "the subject token's 127.0.0.1")
	}
	text = strings.Repeat("x", 1<<20)
	refused(t, l, s, gmsa, fault.ErrUnavailable, "more than")
}

// TestASubjectTokenOfAnotherHostTakesTLS has the double as that host.
func TestASubjectTokenOfAnotherHostTakesTLS(t *testing.T) {
	l := newLab(t)
	_, f, _ := l.federated(t)
	f["credential_source"] = map[string]any{"url": "https://oauth2.googleapis.com/other", "format": map[string]any{"type": "json", "subject_token_field_name": "x"}}
	s := l.open(t, l.with(t, f))
	refused(t, l, s, gmsa, fault.ErrUnavailable, "the subject token's oauth2.googleapis.com", "404")
	f["credential_source"] = map[string]any{"url": "http://169.254.169.254/other"}
	s = l.open(t, l.with(t, f))
	refused(t, l, s, gmsa, fault.ErrDenied, "the subject token's 169.254.169.254", "403")
}
