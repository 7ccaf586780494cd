package outbound

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// CertificateError says what is wrong with a server's certificate. It wraps
// fault.ErrUnavailable: whoever answered was not the server.
type CertificateError struct {
	Problem string // "is signed by …"
}

func (e *CertificateError) Error() string {
	return "the server's certificate " + e.Problem + ": " + fault.ErrUnavailable.Error()
}

func (e *CertificateError) Unwrap() error { return fault.ErrUnavailable }

// certificateProblem has the names of the certificate in it, bounded and
// quoted: they are what anybody may have written.
func certificateProblem(err error) string {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("is for %s and not for %.255q", namesOf(e.Certificate), e.Host)
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if e.Cert == nil {
			return "is signed by a CA that is not trusted here"
		}
		if issuer := e.Cert.Issuer.String(); issuer != "" && issuer != e.Cert.Subject.String() {
			return fmt.Sprintf("is signed by a CA that is not trusted here, %s", quoted(issuer))
		}
		return "is signed by itself, and not trusted here"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case e.Reason == x509.Expired && e.Cert != nil:
			return fmt.Sprintf("is valid from %s to %s, which is not now", day(e.Cert.NotBefore), day(e.Cert.NotAfter))
		case e.Reason == x509.IncompatibleUsage:
			return "is not one for servers"
		case e.Reason == x509.NotAuthorizedToSign:
			return "is signed by one that is no CA's"
		}
	}
	if is[x509.SystemRootsError](err) {
		return "cannot be checked, because this system has no list of CAs"
	}
	return "is not acceptable (" + quoted(err.Error()) + ")"
}

func day(t time.Time) string { return t.UTC().Format(time.DateTime + "Z") }

func namesOf(cert *x509.Certificate) string {
	if cert == nil {
		return "another host"
	}
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	const most = 4
	if len(names) > most {
		names = append(names[:most], "…")
	}
	if len(names) == 0 {
		return "no host"
	}
	return quoted(strings.Join(names, ", "))
}

func quoted(s string) string {
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
