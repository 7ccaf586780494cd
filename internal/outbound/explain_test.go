package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestExplainHasOneKindAndNothingOfTheServers(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct {
		err  error
		kind error
		text string
	}{
		{&refusal{why: ErrLinkLocal}, fault.ErrDenied, "link-local"},
		{&net.OpError{Op: "dial", Err: &refusal{why: ErrNoServer}}, fault.ErrDenied, "no server's address"},
		{&proxyError{"proxy:8080", 407}, fault.ErrDenied, "the proxy proxy:8080 answers 407 Proxy Authentication Required"},
		{&proxyError{"proxy:8080", 599}, fault.ErrUnavailable, "answers 599:"},
		{fmt.Errorf("CA file x: %w", fault.ErrMalformed), fault.ErrMalformed, "CA file x"},
		{&net.DNSError{Name: "host", Err: "no such host", Server: "192.0.2.1"}, fault.ErrUnavailable, `no address for "host": no such host`},
		{&net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: os.ErrDeadlineExceeded}, fault.ErrUnavailable, "no answer in time (dial 192.0.2.1:443)"},
		{&net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: os.NewSyscallError("connect", errRefused)}, fault.ErrUnavailable, "nobody listens there (dial 192.0.2.1:443)"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, fault.ErrUnavailable, "the TLS handshake failed: handshake failure"},
		{errors.New("tls: " + strings.Repeat("long ", 1000)), fault.ErrUnavailable, "the TLS handshake failed"},
		{io.EOF, fault.ErrUnavailable, "closed the connection"},
		{io.ErrUnexpectedEOF, fault.ErrUnavailable, "closed the connection"},
		{fmt.Errorf("malformed HTTP response %q", secret), fault.ErrUnavailable, "no answer of HTTP"},
		{fmt.Errorf("http2: server sent GOAWAY, debug=%q", secret), fault.ErrUnavailable, "no answer of HTTP"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, fault.ErrUnavailable, "not trusted here"},
		{&tls.CertificateVerificationError{Err: x509.SystemRootsError{}}, fault.ErrUnavailable, "has no list of CAs"},
		{&tls.CertificateVerificationError{Err: errors.New("x\x1b[2J" + strings.Repeat("y", 1000))}, fault.ErrUnavailable, `not acceptable ("x\x1b[2J`},
	} {
		err := Explain(&url.Error{Op: "Get", URL: "https://host/?signature=" + secret, Err: c.err})
		if alone := Explain(c.err); alone.Error() != err.Error() {
			t.Errorf("%q alone, %q in a url.Error", alone, err)
		}
		for _, kind := range []error{fault.ErrDenied, fault.ErrMalformed, fault.ErrUnavailable, fault.ErrNotFound} {
			if errors.Is(err, kind) != (kind == c.kind) {
				t.Errorf("%v: %q is %v: %t", c.err, err, kind, kind != c.kind)
			}
		}
		if text := err.Error(); !strings.Contains(text, c.text) || strings.Contains(text, secret) || len(text) > 400 {
			t.Errorf("%v: %q, want %q in it", c.err, text, c.text)
		}
	}
}

func TestACertificatesNamesAreBoundedAndQuoted(t *testing.T) {
	cert := &x509.Certificate{
		Issuer:   pkix.Name{CommonName: "evil\x1b[2J" + strings.Repeat("ü", 1000)},
		DNSNames: []string{"a", "b\n", "c", "d", "e", strings.Repeat("f", 1000)},
	}
	for _, err := range []error{
		x509.UnknownAuthorityError{Cert: cert},
		x509.HostnameError{Certificate: cert, Host: strings.Repeat("g", 1000)},
		x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired},
		x509.CertificateInvalidError{Cert: cert, Reason: x509.CANotAuthorizedForThisName, Detail: strings.Repeat("h", 1000)},
	} {
		if text := certificateProblem(err); len(text) > 600 || strings.ContainsAny(text, "\x1b\n") {
			t.Errorf("%T: %q", err, text)
		}
	}
}
