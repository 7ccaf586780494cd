package kubeclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// StatusError is an answer of the API server other than 200. It wraps
//
//   - fault.ErrDenied for 401 and 403,
//   - fault.ErrNotFound for a 404 of the API server's own,
//   - fault.ErrUnavailable for everything else: the API server is busy (429) or
//     broken (500 and up), or it is none.
type StatusError struct {
	Server string // host and port
	Code   int
	Reason metav1.StatusReason // empty where the answer is no Status
	// Message is the API server's, on one line and with at most maxMessage
	// bytes, or what is to be said of an answer that has none.
	Message string
	// NoAPI says that the server has no such API, in contrast to no such
	// object of it.
	NoAPI bool

	retryAfter time.Duration // what the server asks for; negative if nothing
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("API server %s: %d %s: %s", e.Server, e.Code, http.StatusText(e.Code), e.Message)
}

// RetryAfter is when the API server wants the request again; not positive if it
// did not say.
func (e *StatusError) RetryAfter() time.Duration { return e.retryAfter }

// Unwrap returns the kind of fault.
func (e *StatusError) Unwrap() error {
	switch {
	case e.Code == http.StatusUnauthorized, e.Code == http.StatusForbidden:
		return fault.ErrDenied
	case e.NoAPI, e.Code == http.StatusNotFound && e.Reason == metav1.StatusReasonNotFound:
		return fault.ErrNotFound
	}
	return fault.ErrUnavailable
}

// Bounds of what is read and shown of a refusal, in bytes.
const (
	maxStatus  = 64 << 10
	maxMessage = 512
)

// noAPI is the body of a 404 for a path that the API server does not serve: not
// a Status but net/http's own text.
const noAPI = "404 page not found"

// refused makes the error of an answer that is not 200.
func (c *Client) refused(server string, resp *http.Response) error {
	// What cannot be read of it is not needed.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	e := &StatusError{Server: server, Code: resp.StatusCode, retryAfter: retryAfter(resp)}
	var status metav1.Status
	switch {
	case json.Unmarshal(body, &status) == nil && status.Kind == "Status":
		e.Reason, e.Message = status.Reason, oneLine(status.Message)
	case resp.StatusCode == http.StatusNotFound && bytes.HasPrefix(body, []byte(noAPI)):
		e.NoAPI, e.Message = true, "there is no such API"
	default:
		e.Message = "the answer is not an API server's"
	}
	if e.Code == http.StatusUnauthorized {
		e.Message = "the credentials of " + c.cfg.where() + " are not valid there (expired, or of another cluster)"
	}
	return e
}

// retryAfter is how many seconds the server has the client wait, negative if
// trying again is not wanted. As in client-go, an answer that says nothing of it
// is final.
func retryAfter(resp *http.Response) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode < 500 {
		return -1
	}
	seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return -1
	}
	return time.Duration(seconds) * time.Second
}

// unanswered makes the error of a request that got no answer, or a part of one.
func (c *Client) unanswered(ctx context.Context, server string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("API server %s: %w", server, ctx.Err())
	}
	if u, ok := errors.AsType[*url.Error](err); ok { // the URL is the caller's to name
		err = u.Err
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("API server %s: %s does not lead to trust its certificate: %w: %w", server, c.cfg.where(), cert.Err, fault.ErrUnavailable)
	}
	return fmt.Errorf("API server %s: %w: %w", server, err, fault.ErrUnavailable)
}

// oneLine is a server's text made fit for a log and a terminal.
func oneLine(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
