// Package quiet_test is another package on purpose: quiet imports nothing of what
// the test needs, and so comes before it.
package quiet_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/quiet"
)

const inner = "GMSA_AGENT_TEST_QUIET"

// TestHTTP2PrintsNothing runs this test's process once more, for net/http reads
// GODEBUG before anything of a test runs.
func TestHTTP2PrintsNothing(t *testing.T) {
	if os.Getenv(inner) != "" {
		ask(t)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestHTTP2PrintsNothing$")
	cmd.Env = append(os.Environ(), inner+"=1", "GODEBUG=http2debug=2,netdns=go", "GRPC_GO_LOG_SEVERITY_LEVEL=info")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if out, err := cmd.Output(); err != nil || stderr.String() != "" {
		t.Errorf("%v: %s%s", err, out, stderr.String())
	}
}

func ask(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	answer, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if answer.ProtoMajor != 2 {
		t.Errorf("the answer is %s", answer.Proto)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	if got := os.Getenv("GODEBUG"); got != "netdns=go" {
		t.Errorf("GODEBUG is %q", got)
	}
	if want := []string{"GODEBUG=http2debug", "GRPC_GO_LOG_SEVERITY_LEVEL"}; !slices.Equal(quiet.Taken(), want) {
		t.Errorf("taken: %q, want %q", quiet.Taken(), want)
	}
}

func TestOnlyHTTP2sDebugOutputIsTakenFromGODEBUG(t *testing.T) {
	for value, want := range map[string]string{
		"":                               "",
		"http2debug=2":                   "",
		"http2debug=1,netdns=go":         "netdns=go",
		"netdns=go,http2debug=2,gctrace": "netdns=go,gctrace",
		"xhttp2debug=2":                  "",
		"http2client=0":                  "http2client=0",
	} {
		if got, changed := quiet.Without(value); got != want || changed != (got != value) {
			t.Errorf("without(%q) = %q, %v, want %q", value, got, changed, want)
		}
	}
}
