package outbound

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Explain says in this project's words why a request got no answer. The error
// of a [Transport] or [Connector] can hold the URL with its query and pieces of
// what the server sent; Explain's holds neither, and wraps one fault kind:
//
//   - fault.ErrDenied: the address is refused (ErrLinkLocal and its like), or
//     the proxy refuses (403, 407);
//   - fault.ErrMalformed: the host is none, or a [Transport]'s CA file;
//   - fault.ErrUnavailable: everything else. It is a *CertificateError where
//     the server's certificate is not accepted.
//
// The caller looks at its context first: an error that is due to that looks
// like any other.
func Explain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // what an http.Client, or an SDK, has wrapped
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	for _, kind := range []error{fault.ErrDenied, fault.ErrMalformed, fault.ErrUnavailable} {
		if errors.Is(err, kind) {
			return err // net/http knows none of them: it is this package's own
		}
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &CertificateError{Problem: certificateProblem(cert.Err)}
	}
	return fmt.Errorf("%s: %w", symptom(err), fault.ErrUnavailable)
}

// symptom recognises what has a meaning for the reader. The text of any other
// error may be the server's.
func symptom(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), is[tls.RecordHeaderError](err):
		return "the server does not speak TLS"
	case tlsProblem(err) != "":
		return "the TLS handshake failed: " + tlsProblem(err)
	case is[*net.DNSError](err):
		dns, _ := errors.AsType[*net.DNSError](err)
		return fmt.Sprintf("no address for %.255q: %s", dns.Name, dns.Err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time" + during(err)
	case errors.Is(err, errRefused):
		return "nobody listens there" + during(err)
	case is[syscall.Errno](err):
		code, _ := errors.AsType[syscall.Errno](err)
		return code.Error() + during(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection without an answer"
	}
	return "what the server sent is no answer of HTTP, or a broken one"
}

// tlsProblem is what package tls says of a handshake, which has no types for it:
// fixed texts, and alerts by their names.
func tlsProblem(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	text, ok := strings.CutPrefix(err.Error(), "tls: ")
	if !ok {
		return ""
	}
	return strings.Trim(quoted(text), `"`)
}

// during says which address was spoken to, if that was the difficulty.
func during(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		return " (" + op.Op + " " + op.Addr.String() + ")"
	}
	return ""
}

func is[T error](err error) bool { _, ok := errors.AsType[T](err); return ok }

// proxyError is a proxy's refusal to connect.
type proxyError struct {
	host   string
	status int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answers %s: %v", e.host, Status(e.status), e.Unwrap())
}

func (e *proxyError) Unwrap() error {
	if e.status == http.StatusForbidden || e.status == http.StatusProxyAuthRequired {
		return fault.ErrDenied
	}
	return fault.ErrUnavailable
}

// Status is a status code with the name that HTTP has for it: what the server
// calls it is the server's text.
func Status(code int) string {
	if name := http.StatusText(code); name != "" {
		return fmt.Sprintf("%d %s", code, name)
	}
	return fmt.Sprint(code)
}
