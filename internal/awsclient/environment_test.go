package awsclient

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// hostile sets what makes the SDK's own chain do something else.
func hostile(t *testing.T, trap string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIATRAP", "AWS_SECRET_ACCESS_KEY": "trap", "AWS_SESSION_TOKEN": "trap",
		"AWS_PROFILE": "trap", "AWS_DEFAULT_PROFILE": "trap", "AWS_REGION": "us-trap-1", "AWS_DEFAULT_REGION": "us-trap-1",
		"AWS_SHARED_CREDENTIALS_FILE": write(t, "[trap]\naws_access_key_id=AKIATRAP\naws_secret_access_key=trap\n"),
		"AWS_CONFIG_FILE":             write(t, "[profile trap]\nregion=us-trap-1\nendpoint_url="+trap+"\n[default]\nregion=us-trap-1\n"),
		"AWS_SDK_LOAD_CONFIG":         "1",
		"AWS_ENDPOINT_URL":            trap, "AWS_ENDPOINT_URL_SSM": trap, "AWS_ENDPOINT_URL_STS": trap, "AWS_ENDPOINT_URL_S3": trap,
		"AWS_CA_BUNDLE":                          "/does/not/exist",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT":      trap,
		"AWS_EC2_METADATA_DISABLED":              "true",
		"AWS_EC2_METADATA_V1_DISABLED":           "false",
		"AWS_USE_FIPS_ENDPOINT":                  "true",
		"AWS_USE_DUALSTACK_ENDPOINT":             "true",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI":     trap,
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/trap",
		"AWS_ROLE_ARN":                           "arn:aws:iam::1:role/trap",
		"AWS_WEB_IDENTITY_TOKEN_FILE":            "/does/not/exist",
		"AWS_MAX_ATTEMPTS":                       "99",
		"HTTP_PROXY":                             trap, "HTTPS_PROXY": trap, "ALL_PROXY": trap, "NO_PROXY": "",
	} {
		t.Setenv(name, value)
	}
}

func TestTheEnvironmentChangesNothing(t *testing.T) {
	trap := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	hostile(t, trap.URL)
	imds, api := serve(t, role(always("AKIAROLE"))), serve(t, parameter)

	c := newClientFor(t, Config{Endpoints: map[string]string{"imds": imds.URL, "ssm": api.URL}})
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	if s := api.signatures[0]; !strings.Contains(s, "Credential=AKIAROLE/") || !strings.Contains(s, "/eu-south-1/") {
		t.Errorf("signed as %.100s", s)
	}
	file := write(t, "[default]\naws_access_key_id=AKIAFILE\naws_secret_access_key=x\n")
	c = newClientFor(t, Config{Credentials: "profile", ProfileFile: file, Region: "eu-west-1", Endpoints: map[string]string{"ssm": api.URL}})
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	if s := api.signatures[1]; !strings.Contains(s, "Credential=AKIAFILE/") {
		t.Errorf("signed as %.100s", s)
	}
	if n := trap.count(""); n != 0 {
		t.Errorf("%d requests went where the environment points: %q", n, trap.requests)
	}
}

func TestTheEnvironmentDoesNotMoveAWSsOwnEndpoints(t *testing.T) {
	trap := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	hostile(t, trap.URL)
	file := write(t, "[default]\naws_access_key_id=AKIAFILE\naws_secret_access_key=x\n")
	c := newClientFor(t, Config{Credentials: "profile", ProfileFile: file, Region: "eu-west-1"})
	var host string
	c.web.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		host = r.URL.String()
		return nil, errors.New("not sent")
	})
	if err := get(t, c); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if host != "https://ssm.eu-west-1.amazonaws.com/" {
		t.Errorf("the request went to %s", host)
	}
	if m := newMetadata(""); m.client == nil || imdsEndpoint != "http://169.254.169.254" {
		t.Error("the metadata service is elsewhere")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
