package azurekeyvault_test

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
)

// everything fetches with every identity, and fails in every way that has
// something to say.
func everything(t *testing.T, l *lab) {
	_, workload := l.workload(t)
	_, certified := l.certified(t)
	expect(t, l.open(t, l.config()), gmsa, password)
	expect(t, l.open(t, workload), gmsa, password)
	expect(t, l.open(t, certified), gmsa, password)
	s := l.open(t, certified)
	for _, part := range []azuredouble.Service{azuredouble.Entra, azuredouble.KeyVault} {
		for _, f := range []azuredouble.Fault{
			azuredouble.Answer(500, "application/json", html), azuredouble.Answer(403, "application/json", `{"error":{"code":"`+password+`","message":"`+password+`"}}`),
			azuredouble.Answer(200, "application/json", `{"value":"`+password+`"`), azuredouble.Answer(200, "application/json", `{"access_token":"`+password+`"`),
			azuredouble.Challenge(`Bearer resource="` + password + `"`), azuredouble.Truncated, azuredouble.Redirect("https://" + password + ".example/"),
			azuredouble.Answer(400, "application/json", `{"error":"`+password+`","error_description":"`+password+`"}`),
		} {
			l.FailAlways(part, f)
			c, err := s.Fetch(t.Context(), ref(t, gmsa))
			if err == nil {
				c.Wipe() // its token was fetched before
			} else {
				clean(t, l, err.Error())
			}
			l.FailAlways(part, nil)
		}
	}
}

// TestTheSDKsLogShowsNothingSecret has the SDK's log on, as no user can.
func TestTheSDKsLogShowsNothingSecret(t *testing.T) {
	l := newLab(t)
	l.open(t, l.config()) // turns it off
	var mu sync.Mutex
	var log strings.Builder
	azlog.SetListener(func(e azlog.Event, text string) {
		mu.Lock()
		defer mu.Unlock()
		log.WriteString(string(e) + ": " + text + "\n")
	})
	everything(t, l)
	azlog.SetListener(nil)
	if !strings.Contains(log.String(), host) {
		t.Error("the SDK logged nothing")
	}
	clean(t, l, log.String())
	if strings.Contains(strings.ToLower(log.String()), "bearer ey") {
		t.Error("the log has a token in it")
	}
}

const inner = "GMSA_AGENT_TEST_AZURE_LOGGING"

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
	cmd.Env = append(os.Environ(), inner+"=1", "AZURE_SDK_GO_LOGGING=all", "GODEBUG=http2debug=2")
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
	if strings.Contains(stderr.String()+string(out), password) {
		t.Error("the password is in what was printed")
	}
}
