package https

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// StatusError is a server's answer that is neither a document nor a redirect.
type StatusError struct {
	Status    int
	TokenFile string // whose token was sent; empty: none was
	Retry     string // when the server asks to try again: "after 120s"; empty: it does not say
}

func (e *StatusError) Error() string {
	s := "answers " + outbound.Status(e.Status)
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		if e.TokenFile != "" {
			s += " to the token of " + e.TokenFile
		} else {
			s += "; no token was sent, for none is configured for it"
		}
	}
	if e.Retry != "" {
		s += " and asks to try again " + e.Retry
	}
	return s + ": " + e.Unwrap().Error()
}

// Unwrap is the status' fault kind.
func (e *StatusError) Unwrap() error {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusUnavailableForLegalReasons:
		return fault.ErrDenied
	case http.StatusNotFound, http.StatusGone:
		return fault.ErrNotFound
	case http.StatusRequestTimeout, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		return fault.ErrUnavailable
	}
	if e.Status >= http.StatusInternalServerError {
		return fault.ErrUnavailable
	}
	return fault.ErrMalformed
}

func statusError(answer *http.Response, tokenFile string) error {
	e := &StatusError{Status: answer.StatusCode, TokenFile: tokenFile}
	if e.Unwrap() == fault.ErrUnavailable {
		e.Retry = retryAfter(answer.Header.Get("Retry-After"))
	}
	return e
}

// retryAfter reads the header's two forms; its own text is the server's.
func retryAfter(s string) string {
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		return fmt.Sprintf("after %ds", seconds)
	}
	if at, err := http.ParseTime(s); err == nil {
		return "after " + at.UTC().Format(time.DateTime+"Z")
	}
	return ""
}

// isWebPage recognises what is no document although the server says 200: some
// page that stands in its place. A server that just does not know JSON's type
// is not meant.
func isWebPage(h http.Header, data []byte) bool {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if kind != "text/html" && kind != "application/xhtml+xml" {
		return false
	}
	return bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\ufeff")), " \t\r\n"), []byte("<"))
}
