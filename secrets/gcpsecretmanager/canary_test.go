package gcpsecretmanager_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
)

// everything fetches with every identity, and fails in every way that has
// something to say.
func everything(t *testing.T, l *lab) {
	for _, configure := range identities() {
		cfg := configure(t, l)
		expect(t, l.open(t, cfg), gmsa, password)
		for _, part := range []gcpdouble.Service{gcpdouble.MetadataServer, gcpdouble.OAuth, gcpdouble.STS, gcpdouble.SecretManager} {
			for _, f := range []gcpdouble.Fault{
				gcpdouble.Answer(500, "application/json", html), gcpdouble.Refusal(403, password, password), gcpdouble.OAuthRefusal(400, password, password),
				gcpdouble.Answer(200, "application/json", `{"payload":{"data":"`+password+`"`), gcpdouble.Answer(200, "application/json", `{"access_token":"`+password+`"`),
				gcpdouble.Flavored(gcpdouble.Answer(200, "application/json", `{"access_token":"`+password+` "}`)),
				gcpdouble.Truncated, gcpdouble.Redirect("https://" + password + ".example/"),
			} {
				l.FailAlways(part, f)
				c, err := l.open(t, cfg).Fetch(t.Context(), ref(t, gmsa))
				if err == nil {
					c.Wipe() // this identity does not ask that part
				} else {
					clean(t, l, err.Error())
				}
				l.FailAlways(part, nil)
			}
		}
	}
}

const inner = "GMSA_AGENT_TEST_GCP_LOGGING"

// loud are the variables that turn on every log that there is below the store.
var loud = []string{
	"GOOGLE_SDK_GO_LOGGING_LEVEL=debug", "GOOGLE_SDK_GO_EXPERIMENTAL_LOGGING=true", "GOOGLE_SDK_GO_EXPERIMENTAL_TRACING=true",
	"GRPC_GO_LOG_SEVERITY_LEVEL=info", "GRPC_GO_LOG_VERBOSITY_LEVEL=99", "GODEBUG=http2debug=2",
}

// TestTheEnvironmentTurnsNoLogOn runs this test's process once more, for the
// SDK and Go read these variables before anything else.
func TestTheEnvironmentTurnsNoLogOn(t *testing.T) {
	if os.Getenv(inner) != "" {
		everything(t, newLab(t))
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestTheEnvironmentTurnsNoLogOn$")
	cmd.Env = append(append(os.Environ(), inner+"=1"), loud...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, stderr.String())
	}
	for _, line := range strings.Split(stderr.String(), "\n") {
		// The double's servers are in that process, too, and log their HTTP/2
		// settings.
		if line != "" && !strings.Contains(line, "http2: server") {
			t.Errorf("standard error has %q", line)
		}
	}
	for _, secret := range []string{password, "ya29.", "eyJ", "BEGIN"} {
		if strings.Contains(stderr.String()+string(out), secret) {
			t.Errorf("%s is in what was printed", secret)
		}
	}
}
