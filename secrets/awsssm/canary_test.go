package awsssm_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/secrets/awsssm"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// What must not be seen.
const (
	canaryPassword = "C4nary:pässword"
	canaryKey      = "C4narySecretKey"
	canarySession  = "C4narySessionToken"
)

// Where the other process finds the server, its certificate and its keys.
const (
	childURL  = "GMSA_AGENT_TEST_URL"
	childCA   = "GMSA_AGENT_TEST_CA"
	childKeys = "GMSA_AGENT_TEST_KEYS"
)

// TestTheEnvironmentTurnsNoLogOn runs this test in a process of its own: Go and
// the SDK read their environment when they start.
func TestTheEnvironmentTurnsNoLogOn(t *testing.T) {
	if os.Getenv(childURL) != "" {
		fetchAndPrintEverything(t)
		return
	}
	var served, proxied atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1); r.ProtoMajor != 1 {
			t.Errorf("asked over %s, which has a debug log", r.Proto)
		}
		var asked question
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		if asked.Name != "/gmsa/contoso" {
			refusal(400, "AccessDeniedException", canaryPassword)(w, r)
			return
		}
		answer(object{"Value": `contoso.com\svc:` + canaryPassword})(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	t.Cleanup(proxy.Close)

	dir := t.TempDir()
	ca, keys := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "credentials")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	write(t, keys, "[default]\naws_access_key_id=AKIATEST\naws_secret_access_key="+canaryKey+"\naws_session_token="+canarySession+"\n")

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childURL+"="+server.URL, childCA+"="+ca, childKeys+"="+keys,
		"GODEBUG=http2debug=2,gctrace=0", "AWS_SDK_LOAD_CONFIG=1", "AWS_LOG_LEVEL=debug", "AWS_SDK_LOG_LEVEL=debug", "AWS_SDK_GO_LOG_LEVEL=debug",
		"AWS_DEBUG=true", "SMITHY_LOG=debug", "HTTP_PROXY="+proxy.URL, "HTTPS_PROXY="+proxy.URL, "ALL_PROXY="+proxy.URL)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s%s", err, stdout.String(), stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error has %q", stderr.String())
	}
	if !strings.Contains(stdout.String(), "400 AccessDeniedException") || !strings.Contains(stdout.String(), "fetched") || served.Load() < 2 {
		t.Errorf("after %d requests printed %s", served.Load(), stdout.String())
	}
	for _, secret := range []string{canaryPassword, canaryKey, canarySession} {
		if form := secretstest.Leaked(stdout.String()+stderr.String(), []byte(secret)); form != "" {
			t.Errorf("what is printed has %s in it (%s)", secret, form)
		}
	}
	if n := proxied.Load(); n != 0 {
		t.Errorf("the environment's proxy had %d requests", n)
	}
}

func fetchAndPrintEverything(t *testing.T) {
	cfg := awsclient.Config{
		Credentials: "profile", ProfileFile: os.Getenv(childKeys), Region: region, CAFile: os.Getenv(childCA),
		Endpoints: map[string]string{"ssm": os.Getenv(childURL)},
	}
	elsewhere := cfg
	elsewhere.Endpoints = map[string]string{"ssm": "https://ssm.invalid"} // not loopback, for which no proxy is asked
	out := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	for _, try := range []struct {
		store *awsssm.Store
		ref   string
	}{{open(t, cfg), contoso}, {open(t, cfg), "awsssm://refused"}, {open(t, elsewhere), contoso}} {
		c, err := try.store.Fetch(t.Context(), ref(t, try.ref))
		fmt.Printf("%v %+v %#v %s %v %+v %#v\n", c, c, c, c, err, err, err)
		out.Info("fetched", "credential", c, "error", err, "store", try.store)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
