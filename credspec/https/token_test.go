package https_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/integration/httpslab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// withToken sends the lab its token, or what is in another file.
func withToken(t *testing.T, l *httpslab.Lab, file string) https.Config {
	t.Helper()
	needsPrivateFiles(t, l.TokenFile)
	cfg := trusting(l)
	cfg.Hosts = map[string]https.Host{hostOf(t, l.URL): {TokenFile: file}}
	return cfg
}

// needsPrivateFiles skips a test where no file of the test's is its own.
func needsPrivateFiles(t *testing.T, file string) {
	t.Helper()
	if err := private.Secret(file); err != nil && runtime.GOOS == "windows" {
		t.Skipf("everybody can read a test's files here, as always under Wine: %v", err)
	}
}

func tokenFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	needsPrivateFiles(t, path)
	return path
}

func TestTheTokenOfAHostIsSent(t *testing.T) {
	for name, opts := range map[string]httpslab.Options{"HTTP2": {}, "HTTP1": {HTTP1: true}} {
		t.Run(name, func(t *testing.T) {
			l := start(t, opts)
			want(t, source(t, withToken(t, l, l.TokenFile)), l.URL+"/private/x")
			for _, content := range []string{httpslab.Token, httpslab.Token + "\r\n", "\ufeff" + httpslab.Token + "\n\n"} {
				want(t, source(t, withToken(t, l, tokenFile(t, content))), l.URL+"/private/x")
			}
		})
	}
}

func TestAWrongTokenIsDenied(t *testing.T) {
	l := start(t, httpslab.Options{})
	file := tokenFile(t, "hunter2")
	refused(t, source(t, withToken(t, l, file)), l.URL+"/private/x", fault.ErrDenied, "401 Unauthorized to the token of "+file)
	refused(t, source(t, trusting(l)), l.URL+"/private/x", fault.ErrDenied, "no token was sent")
}

func TestATokenThatIsReplacedIsReadAgain(t *testing.T) {
	l := start(t, httpslab.Options{})
	file := tokenFile(t, "old")
	s := source(t, withToken(t, l, file))
	refused(t, s, l.URL+"/private/x", fault.ErrDenied)
	if err := os.WriteFile(file, []byte(httpslab.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, s, l.URL+"/private/x")
}

func TestATokenThatCannotBeUsedIsNotSent(t *testing.T) {
	l := start(t, httpslab.Options{})
	for name, c := range map[string]struct {
		file string
		kind error
	}{
		"missing":    {filepath.Join(t.TempDir(), "none"), fault.ErrUnavailable},
		"a folder":   {t.TempDir(), fault.ErrUnavailable},
		"empty":      {tokenFile(t, " \n"), fault.ErrUnavailable},
		"two lines":  {tokenFile(t, "hunter2\nX-Header: hunter2"), fault.ErrUnavailable},
		"a blank":    {tokenFile(t, "Bearer hunter2"), fault.ErrUnavailable},
		"not ASCII":  {tokenFile(t, "hunter2ü"), fault.ErrUnavailable},
		"UTF-16":     {tokenFile(t, "h\x00u\x00n\x00t\x00"), fault.ErrUnavailable},
		"a document": {tokenFile(t, strings.Repeat("hunter2", 10_000)), fault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, source(t, withToken(t, l, c.file)), l.URL+"/private/x", c.kind, "token file", c.file)
		})
	}
	if asked := l.Requests(); len(asked) > 0 {
		t.Errorf("asked nevertheless: %v", asked)
	}
}

func TestATokenThatOthersCanReadOrChangeIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are not access lists; internal/private tests those")
	}
	l := start(t, httpslab.Options{})
	for _, mode := range []os.FileMode{0o644, 0o640, 0o622} {
		file := tokenFile(t, httpslab.Token)
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		refused(t, source(t, withToken(t, l, file)), l.URL+"/private/x", fault.ErrDenied, file)
	}
}

// received are the tokens that a server got.
func received(l *httpslab.Lab) (tokens []string) {
	for _, r := range l.Requests() {
		if r.Authorization != "" {
			tokens = append(tokens, r.Authorization)
		}
	}
	return tokens
}

func TestATokenGoesToNoOtherHost(t *testing.T) {
	l, other := start(t, httpslab.Options{}), start(t, httpslab.Options{})
	cfg := withToken(t, l, l.TokenFile)
	cfg.Hosts[hostOf(t, other.URL)] = https.Host{CAFile: other.CAFile}
	s := source(t, cfg)
	localhost := strings.Replace(l.URL, "127.0.0.1", "localhost", 1)
	for _, target := range []string{other.URL, localhost} {
		refused(t, s, to(l.URL, "307", target+"/private/x"), fault.ErrDenied, target, "no token was sent")
		refused(t, s, target+"/private/x", fault.ErrDenied, "no token was sent")
	}
	if got := received(other); len(got) > 0 {
		t.Errorf("the other host got %q", got)
	}
	if got := received(l); len(got) != 2 { // the two redirects, and not localhost
		t.Errorf("its host got %d tokens, want 2", len(got))
	}
	// And back to the host that it is for.
	want(t, s, to(other.URL, "302", l.URL+"/private/x"))
	if got := received(other); len(got) > 0 {
		t.Errorf("the other host got %q", got)
	}
}

func TestATokenIsNeverSentWithoutTLS(t *testing.T) {
	l := start(t, httpslab.Options{})
	cfg := trusting(l)
	cfg.Hosts = map[string]https.Host{hostOf(t, l.Plain): {TokenFile: l.TokenFile}}
	s := source(t, cfg)
	want(t, s, l.Plain+"/specs/x")
	refused(t, s, l.Plain+"/private/x", fault.ErrDenied, "no token was sent")
	if got := received(l); len(got) > 0 {
		t.Errorf("the server got %q", got)
	}
}
