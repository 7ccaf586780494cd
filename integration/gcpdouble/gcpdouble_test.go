package gcpdouble_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/externalaccount"
	"cloud.google.com/go/auth/httptransport"
	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
)

const email = "agent@contoso-prod.iam.gserviceaccount.com"

func start(t *testing.T) (*gcpdouble.Double, *gcpdouble.Project, *http.Client) {
	t.Helper()
	d, err := gcpdouble.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop() })
	transport := &http.Transport{DialContext: d.Dial, TLSClientConfig: &tls.Config{RootCAs: d.Roots()}}
	t.Cleanup(transport.CloseIdleConnections)
	p := d.Project("contoso-prod")
	p.Add("secrets/gmsa", []byte("first"))
	return d, p, &http.Client{Transport: transport}
}

// keyed is a client of Google's SDK as a service account with a key.
func keyed(t *testing.T, d *gcpdouble.Double, c *http.Client, endpoint string) *secretmanager.Client {
	t.Helper()
	file, err := d.ServiceAccount(email).KeyFile()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := credentials.NewCredentialsFromJSON(credentials.ServiceAccount, file, &credentials.DetectOptions{Scopes: []string{gcpdouble.Scope}, Client: c})
	if err != nil {
		t.Fatal(err)
	}
	return as(t, creds, c, endpoint)
}

func as(t *testing.T, creds *auth.Credentials, c *http.Client, endpoint string) *secretmanager.Client {
	t.Helper()
	authorized := &http.Client{Transport: c.Transport}
	if err := httptransport.AddAuthorizationMiddleware(authorized, creds); err != nil {
		t.Fatal(err)
	}
	client, err := secretmanager.NewRESTClient(t.Context(), option.WithHTTPClient(authorized), option.WithEndpoint(endpoint))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func access(ctx context.Context, c *secretmanager.Client, name string) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	return c.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: name})
}

func TestGooglesClientReadsWhatWasAdded(t *testing.T) {
	d, p, c := start(t)
	p.Allow("serviceAccount:" + email)
	p.Add("locations/europe-west3/secrets/gmsa", []byte("regional"))
	global := keyed(t, d, c, "https://secretmanager.googleapis.com")
	for name, want := range map[string]string{"versions/latest": "first", "versions/1": "first"} {
		got, err := access(t.Context(), global, "projects/contoso-prod/secrets/gmsa/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if string(got.GetPayload().GetData()) != want || got.GetName() != "projects/"+p.Number+"/secrets/gmsa/versions/1" || got.GetPayload().DataCrc32C == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	regional := keyed(t, d, c, "https://secretmanager.europe-west3.rep.googleapis.com")
	if got, err := access(t.Context(), regional, "projects/contoso-prod/locations/europe-west3/secrets/gmsa/versions/latest"); err != nil || string(got.GetPayload().GetData()) != "regional" {
		t.Errorf("regional: %v, %v", got, err)
	}
}

func TestGooglesClientGetsTheCodesOfGoogle(t *testing.T) {
	d, p, c := start(t)
	client := keyed(t, d, c, "https://secretmanager.googleapis.com")
	const gmsa = "projects/contoso-prod/secrets/gmsa/versions/latest"
	check := func(what, name string, status int, code string) {
		t.Helper()
		_, err := access(t.Context(), client, name)
		e, ok := errors.AsType[*googleapi.Error](err)
		if !ok || e.Code != status || !strings.Contains(e.Body, `"status": "`+code+`"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("not allowed", gmsa, 403, "PERMISSION_DENIED")
	check("not there", "projects/contoso-prod/secrets/absent/versions/latest", 403, "PERMISSION_DENIED")
	p.Allow("serviceAccount:" + email)
	check("not there", "projects/contoso-prod/secrets/absent/versions/latest", 404, "NOT_FOUND")
	check("no such version", "projects/contoso-prod/secrets/gmsa/versions/9", 404, "NOT_FOUND")
	check("no such project", "projects/fabrikam/secrets/gmsa/versions/1", 403, "PERMISSION_DENIED")
	check("a region's", "projects/contoso-prod/locations/europe-west3/secrets/gmsa/versions/1", 400, "INVALID_ARGUMENT")
	p.Set("secrets/gmsa", "1", gcpdouble.Disabled)
	check("disabled", gmsa, 400, "FAILED_PRECONDITION")
	p.Set("secrets/gmsa", "1", gcpdouble.Destroyed)
	p.Set("secrets/gmsa", "1", gcpdouble.Enabled)
	check("destroyed for good", gmsa, 400, "FAILED_PRECONDITION")
	p.DisableAPI(true)
	_, err := access(t.Context(), client, gmsa)
	if e, ok := errors.AsType[*apierror.APIError](err); !ok || e.Reason() != "SERVICE_DISABLED" {
		t.Errorf("API disabled: %v", err)
	}
	p.DisableAPI(false)
	d.RevokeTokens()
	check("a token that was revoked", gmsa, 401, "UNAUTHENTICATED")
}

func TestAWorkloadIdentityOfGooglesLibraryIsAServiceAccount(t *testing.T) {
	d, p, c := start(t)
	o := d.Provider(p, "pool", "oidc")
	a := d.ServiceAccount(email)
	p.Allow(a.Principal())
	text, err := o.SubjectToken("subject", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	read := func() error {
		creds, err := externalaccount.NewCredentials(&externalaccount.Options{
			Audience: o.Audience, SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt", TokenURL: "https://sts.googleapis.com/v1/token",
			ServiceAccountImpersonationURL: a.ImpersonationURL(), Scopes: []string{gcpdouble.Scope}, SubjectTokenProvider: provider(text), Client: c,
		})
		if err != nil {
			return err
		}
		_, err = access(t.Context(), as(t, creds, c, "https://secretmanager.googleapis.com"), "projects/contoso-prod/secrets/gmsa/versions/1")
		return err
	}
	if err := read(); err == nil {
		t.Error("a subject that nobody trusts got a token")
	}
	principal := o.Trust("subject")
	if err := read(); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("who may not impersonate: %v", err)
	}
	a.Impersonate(principal)
	if err := read(); err != nil {
		t.Error(err)
	}
	text = text[:len(text)-8] + "AAAAAAAA"
	if err := read(); err == nil {
		t.Error("a signature that is wrong was accepted")
	}
}

type provider string

func (p provider) SubjectToken(context.Context, *externalaccount.RequestOptions) (string, error) {
	return string(p), nil
}

func TestTheMetadataServerWantsItsHeaderAndSendsIt(t *testing.T) {
	d, _, c := start(t)
	const url = "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"
	get := func(pairs ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(pairs); i += 2 {
			req.Header.Set(pairs[i], pairs[i+1])
		}
		return do(t, c, req)
	}
	if status, _ := get("Metadata-Flavor", "Google"); status != 404 {
		t.Errorf("without an account: %d", status)
	}
	d.Attach(email)
	for want, header := range map[int][]string{200: {"Metadata-Flavor", "Google"}, 403: nil} {
		if status, _ := get(header...); status != want {
			t.Errorf("%v: %d, want %d", header, status, want)
		}
	}
	if status, _ := get("Metadata-Flavor", "Google", "X-Forwarded-For", "10.0.0.1"); status != 403 {
		t.Errorf("through a proxy: %d", status)
	}
}

func TestAnAssertionThatIsWrongGetsNoToken(t *testing.T) {
	d, _, c := start(t)
	if _, err := d.ServiceAccount(email).KeyFile(); err != nil {
		t.Fatal(err)
	}
	for _, assertion := range []string{"", "a.b.c", "e30.e30.e30", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJhZ2VudEBjb250b3NvLXByb2QuaWFtLmdzZXJ2aWNlYWNjb3VudC5jb20ifQ."} {
		form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://oauth2.googleapis.com/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if status, text := do(t, c, req); status != 400 || !strings.Contains(text, "invalid_grant") {
			t.Errorf("%q: %d %s", assertion, status, text)
		}
	}
	if n := len(d.Tokens()); n != 0 {
		t.Errorf("%d tokens were issued", n)
	}
}

func do(t *testing.T, c *http.Client, req *http.Request) (int, string) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if req.URL.Scheme == "http" && resp.Header.Get("Metadata-Flavor") != "Google" {
		t.Error("the answer has no Metadata-Flavor")
	}
	return resp.StatusCode, string(b)
}
