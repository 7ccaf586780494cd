package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is what the wrapper may be linked from besides the standard library.
// It runs before every container of the host, with the host's highest rights:
// every package here costs start-up time and is attack surface there.
var allowed = []string{
	"github.com/gmsa-agent/gmsa-agent/cmd/containerd-shim-gmsa",
	"github.com/gmsa-agent/gmsa-agent/hook",
	"github.com/gmsa-agent/gmsa-agent/hook/bundle",
	"github.com/gmsa-agent/gmsa-agent/internal/channel",
	"github.com/gmsa-agent/gmsa-agent/internal/fault",
	"github.com/gmsa-agent/gmsa-agent/internal/wire",
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control",
	"github.com/Microsoft/go-winio",
	"golang.org/x/sys",
}

func TestNoSDKAndNoHTTPReachesTheWrapper(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command")
	}
	for _, goos := range []string{"linux", "windows"} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}}", ".")
		cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			path, standard, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case path == "net/http" || path == "crypto/tls":
				t.Errorf("%s: %s is linked", goos, path)
			case standard == "true":
			case !slices.ContainsFunc(allowed, func(a string) bool {
				return path == a || !strings.HasPrefix(a, "github.com/gmsa-agent/") && strings.HasPrefix(path, a+"/")
			}):
				t.Errorf("%s: %s is linked and not allowed", goos, path)
			}
		}
	}
}
