package directory

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestNewRefusesWhatIsNoDomain(t *testing.T) {
	for _, domain := range []string{"", ".", "a..b", "contoso.com/x", "cöntoso.com", strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 130) + "com"} {
		if _, err := New(Config{}, domain); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%.20q: %v", domain, err)
		}
	}
	if _, err := New(Config{}, "Contoso.COM."); err != nil {
		t.Error(err)
	}
}

func TestNewRefusesACAFileWithoutCertificates(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("none here"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, filepath.Join(dir, "missing.pem"), dir} {
		if _, err := New(Config{CAFile: path}, "contoso.com"); !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v", err)
		}
	}
}

func TestControllersNeedNames(t *testing.T) {
	for _, entry := range []string{"10.0.0.1", "fe80::1", "dc1.contoso.com=dc1", "dc1.contoso.com="} {
		c, err := New(Config{Controllers: []string{entry}}, "contoso.com")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.FindController(t.Context()); kindOf(t, err) != Malformed {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

// serveTCP accepts connections at an address of its own and drops them.
func serveTCP(t *testing.T, ip string, port string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close() // ends Accept
		<-done
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestTheFirstControllerThatAnswersIsTaken(t *testing.T) {
	live := serveTCP(t, "127.0.0.1", "0")
	_, port, _ := net.SplitHostPort(live.String())
	c, err := New(Config{Controllers: []string{"dead.contoso.com=127.0.0.2", "live.contoso.com=127.0.0.1"}}, "contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	c.ports.kerberos = port
	dc, err := c.FindController(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if dc.String() != "live.contoso.com (127.0.0.1)" {
		t.Errorf("took %v", dc)
	}
}

func TestAllControllersThatDoNotAnswerAreNamed(t *testing.T) {
	c, err := New(Config{Controllers: []string{"a.contoso.com=127.0.0.2", "b.contoso.com=127.0.0.3"}}, "contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	c.ports.kerberos = "1"
	_, err = c.FindController(t.Context())
	if kindOf(t, err) != Unreachable || !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	for _, w := range []string{"a.contoso.com", "127.0.0.2:1", "b.contoso.com", "127.0.0.3:1"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in: %v", w, err)
		}
	}
}

func TestACancelledContextEndsTheSearch(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	c, err := New(Config{DNS: []string{"127.0.0.1:1"}}, "contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.FindController(ctx); kindOf(t, err) != Unreachable || !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

func TestServicePrincipalNames(t *testing.T) {
	for spn, ok := range map[string]bool{
		"http/web.contoso.com": true, "ldap/dc1/contoso.com": true, "http/web@contoso.com": true,
		"http": false, "http/": false, "/web": false, "a/b/c/d": false, "http/a b": false, "": false,
		"http/web@FABRIKAM.COM": false,
	} {
		if _, err := parseSPN(spn, "CONTOSO.COM"); (err == nil) != ok {
			t.Errorf("%q: %v", spn, err)
		}
	}
}
