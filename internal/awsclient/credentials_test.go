package awsclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// serve starts a server that records what is asked of it.
func serve(t *testing.T, h http.HandlerFunc) *asked {
	a := &asked{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.requests = append(a.requests, r.Method+" "+r.URL.Path)
		a.signatures = append(a.signatures, r.Header.Get("Authorization"))
		a.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	a.URL = s.URL
	return a
}

type asked struct {
	URL string

	mu         sync.Mutex
	requests   []string
	signatures []string // the Authorization headers
}

func (a *asked) count(request string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, r := range a.requests {
		if strings.HasPrefix(r, request) {
			n++
		}
	}
	return n
}

// role answers as the metadata service of an instance does, version 2 only.
func role(id func() string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			fmt.Fprint(w, "session")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "session":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(r.URL.Path, "/iam/security-credentials/"):
			fmt.Fprint(w, "agent")
		case strings.HasSuffix(r.URL.Path, "/iam/security-credentials/agent"):
			writeKeys(w, id())
		case strings.HasSuffix(r.URL.Path, "/instance-identity/document"):
			fmt.Fprint(w, `{"region": "eu-south-1"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

func writeKeys(w http.ResponseWriter, id string) {
	_ = json.NewEncoder(w).Encode(map[string]string{
		"Code": "Success", "AccessKeyId": id, "SecretAccessKey": "canary-secret", "Token": "canary-session",
		"Expiration": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	})
}

func always(s string) func() string { return func() string { return s } }

// parameter answers every GetParameter.
func parameter(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, `{"Parameter": {"Name": "x", "Type": "String", "Value": "v", "Version": 1}}`)
}

// get sends a request, as a source does.
func get(t *testing.T, c *Client) error {
	t.Helper()
	sdk, err := c.SDK(t.Context())
	if err != nil {
		return err
	}
	region, err := c.Region(t.Context(), "", "")
	if err != nil {
		return err
	}
	_, err = ssm.NewFromConfig(sdk, func(o *ssm.Options) {
		o.Region = region
		o.BaseEndpoint = c.Endpoint("ssm")
	}).GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("x")})
	if err != nil {
		return c.Fault(t.Context(), err)
	}
	return nil
}

func newClientFor(t *testing.T, c Config) *Client {
	t.Helper()
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestManyAtOnceGetCredentialsOnce(t *testing.T) {
	imds, api := serve(t, role(always("AKIAROLE"))), serve(t, parameter)
	c := newClientFor(t, Config{Endpoints: map[string]string{"imds": imds.URL, "ssm": api.URL}})
	if n := imds.count(""); n != 0 {
		t.Errorf("%d requests before the first use", n)
	}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if err := get(t, c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for request, want := range map[string]int{
		"GET /latest/meta-data/iam/security-credentials/agent": 1,
		"GET /latest/dynamic/instance-identity/document":       1,
	} {
		if n := imds.count(request); n != want {
			t.Errorf("%d times %s", n, request)
		}
	}
	if n := api.count("POST /"); n != 32 {
		t.Errorf("%d requests", n)
	}
	if !strings.Contains(api.signatures[0], "Credential=AKIAROLE/") || !strings.Contains(api.signatures[0], "/eu-south-1/ssm/") {
		t.Errorf("signed as %.100s", api.signatures[0])
	}
}

func TestAFailureToGetCredentialsIsNotRemembered(t *testing.T) {
	var up atomic.Bool
	imds := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		role(always("AKIAROLE"))(w, r)
	})
	api := serve(t, parameter)
	c := newClientFor(t, Config{Endpoints: map[string]string{"imds": imds.URL, "ssm": api.URL}})
	if err := get(t, c); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "no credentials from instance") {
		t.Errorf("error %v", err)
	}
	up.Store(true)
	if err := get(t, c); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestAnInstanceIsNeverAskedWithoutASessionToken(t *testing.T) {
	// A service of version 1: it knows no tokens and answers whoever asks.
	imds := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		r.Header.Set("X-Aws-Ec2-Metadata-Token", "session")
		role(always("AKIAROLE"))(w, r)
	})
	c := newClientFor(t, Config{Region: "eu-west-1", Endpoints: map[string]string{"imds": imds.URL, "ssm": serve(t, parameter).URL}})
	if err := get(t, c); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if n := imds.count("GET"); n != 0 {
		t.Errorf("%d requests without a token", n)
	}
}

func TestAnInstanceWithoutARoleHasNoCredentials(t *testing.T) {
	imds := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/iam/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		role(nil)(w, r)
	})
	c := newClientFor(t, Config{Endpoints: map[string]string{"imds": imds.URL, "ssm": serve(t, parameter).URL}})
	if err := get(t, c); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "no credentials from instance: 404") {
		t.Errorf("error %v", err)
	}
}

func TestCredentialsThatAreNotTakenAreForgotten(t *testing.T) {
	var generation atomic.Int32
	imds := serve(t, role(func() string { return fmt.Sprintf("AKIA%d", generation.Add(1)) }))
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "=AKIA1/") {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type": "ExpiredTokenException", "message": "canary"}`)
			return
		}
		parameter(w, r)
	})
	c := newClientFor(t, Config{Region: "eu-west-1", Endpoints: map[string]string{"imds": imds.URL, "ssm": api.URL}})
	if err := get(t, c); !errors.Is(err, fault.ErrDenied) || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
	if err := get(t, c); err != nil {
		t.Errorf("with new ones: %v", err)
	}
}

func TestAContainerAsksBesideIt(t *testing.T) {
	var tokens sync.Map
	agent := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tokens.Store(r.Header.Get("Authorization"), true)
		writeKeys(w, "AKIATASK")
	})
	api := serve(t, parameter)
	cfg := Config{Credentials: "container", Region: "eu-west-1", Endpoints: map[string]string{"ssm": api.URL}}

	t.Run("with a token", func(t *testing.T) {
		t.Setenv(fullURI, agent.URL+"/v1/credentials")
		t.Setenv(authToken, "Basic abc")
		if err := get(t, newClientFor(t, cfg)); err != nil {
			t.Error(err)
		}
		if _, ok := tokens.Load("Basic abc"); !ok {
			t.Error("the token was not sent")
		}
	})
	t.Run("with a token in a file, before the other", func(t *testing.T) {
		t.Setenv(fullURI, agent.URL+"/v1/credentials")
		t.Setenv(authToken, "not this")
		t.Setenv(authFile, write(t, "from-a-file\n"))
		if err := get(t, newClientFor(t, cfg)); err != nil {
			t.Error(err)
		}
		if _, ok := tokens.Load("from-a-file"); !ok {
			t.Error("the token was not sent")
		}
	})
	for name, tt := range map[string]struct {
		env  map[string]string
		kind error
		text string
	}{
		"nothing":                  {nil, errors.ErrUnsupported, "neither"},
		"elsewhere":                {map[string]string{fullURI: "http://192.0.2.1/canary"}, fault.ErrDenied, "neither a loopback address nor one of ECS or EKS"},
		"the instance's":           {map[string]string{fullURI: "http://169.254.169.254/canary"}, fault.ErrDenied, "neither a loopback address"},
		"another scheme":           {map[string]string{fullURI: "file:///canary"}, fault.ErrMalformed, "is no URL"},
		"a host in the path":       {map[string]string{relativeURI: "@canary.example/"}, fault.ErrMalformed, "does not begin with a slash"},
		"no token file":            {map[string]string{fullURI: agent.URL, authFile: "/does/not/exist"}, fault.ErrUnavailable, "/does/not/exist"},
		"an empty token file":      {map[string]string{fullURI: agent.URL, authFile: write(t, "\n")}, fault.ErrUnavailable, "has no token"},
		"a server of another kind": {map[string]string{fullURI: serve(t, parameter).URL + "/canary"}, fault.ErrUnavailable, "no credentials from container"},
		"a refusal without a code": {map[string]string{fullURI: serve(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "canary", http.StatusForbidden)
		}).URL}, fault.ErrDenied, "403 Forbidden"},
		"a refusal": {map[string]string{fullURI: serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"code": "AccessDenied", "message": "canary"}`)
		}).URL}, fault.ErrDenied, "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			err := get(t, newClientFor(t, cfg))
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v, want %v and %q", err, tt.kind, tt.text)
			}
		})
	}
}

func TestAWebIdentityIsExchanged(t *testing.T) {
	var form sync.Map
	sts := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Action", "RoleArn", "RoleSessionName", "WebIdentityToken"} {
			form.Store(name, r.FormValue(name))
		}
		if r.FormValue("WebIdentityToken") != "canary-token" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>canary</Message></Error></ErrorResponse>`)
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>ASIAPOD</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%s</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	api := serve(t, parameter)
	cfg := Config{Credentials: "web_identity", Region: "eu-west-1", Endpoints: map[string]string{"ssm": api.URL, "sts": sts.URL}}
	const role = "arn:aws:iam::123456789012:role/agent"

	t.Run("of the configuration", func(t *testing.T) {
		cfg := cfg
		cfg.RoleARN, cfg.TokenFile = role, write(t, "canary-token\n")
		if err := get(t, newClientFor(t, cfg)); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"Action": "AssumeRoleWithWebIdentity", "RoleArn": role, "RoleSessionName": "gmsa-agent"} {
			if got, _ := form.Load(name); got != want {
				t.Errorf("%s is %v", name, got)
			}
		}
		if !strings.Contains(api.signatures[0], "Credential=ASIAPOD/") {
			t.Errorf("signed as %.60s", api.signatures[0])
		}
	})
	t.Run("of the environment", func(t *testing.T) {
		t.Setenv("AWS_ROLE_ARN", role)
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write(t, "canary-token"))
		if err := get(t, newClientFor(t, cfg)); err != nil {
			t.Error(err)
		}
	})
	t.Run("that is not taken", func(t *testing.T) {
		cfg := cfg
		cfg.RoleARN, cfg.TokenFile = role, write(t, "canary-old")
		err := get(t, newClientFor(t, cfg))
		if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "no credentials from web_identity: 400 InvalidIdentityToken") || strings.Contains(err.Error(), "canary") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("that is not there", func(t *testing.T) {
		if err := get(t, newClientFor(t, cfg)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("error %v", err)
		}
		cfg := cfg
		cfg.RoleARN, cfg.TokenFile = role, "/does/not/exist"
		if err := get(t, newClientFor(t, cfg)); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "/does/not/exist") {
			t.Errorf("error %v", err)
		}
	})
}

func TestAProfileIsReadFromItsFile(t *testing.T) {
	api := serve(t, parameter)
	file := write(t, "[agent]\naws_access_key_id=AKIAFILE\naws_secret_access_key=canary\n")
	cfg := Config{Credentials: "profile", Profile: "agent", ProfileFile: file, Region: "eu-west-1", Endpoints: map[string]string{"ssm": api.URL}}
	if err := get(t, newClientFor(t, cfg)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(api.signatures[0], "Credential=AKIAFILE/") {
		t.Errorf("signed as %.60s", api.signatures[0])
	}
	for name, change := range map[string]func(*Config){
		"another name":       func(c *Config) { c.Profile = "other" },
		"no file":            func(c *Config) { c.ProfileFile = filepath.Join(t.TempDir(), "none") },
		"a folder":           func(c *Config) { c.ProfileFile = t.TempDir() },
		"a program to run":   func(c *Config) { c.ProfileFile = write(t, "[agent]\ncredential_process=/bin/canary\n") },
		"a file that is big": func(c *Config) { c.ProfileFile = write(t, strings.Repeat("#\n", maxProfiles)) },
	} {
		cfg := cfg
		change(&cfg)
		err := get(t, newClientFor(t, cfg))
		if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), cfg.ProfileFile) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
