package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// refusal is an answer that is not success.
type refusal struct {
	url    *url.URL // whose
	method string
	status int
	code   string // the distribution specification's (MANIFEST_UNKNOWN), or empty
}

func (r *refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, first(r.code, http.StatusText(r.status))))
}

func first(texts ...string) string {
	i := slices.IndexFunc(texts, func(s string) bool { return s != "" })
	if i < 0 {
		return ""
	}
	return texts[i]
}

// maxRefusal bounds what is read of a refusal; its code stands at the beginning.
const maxRefusal = 8 << 10

// readRefusal takes the code out of a refusal. The texts beside it are the
// registry's, and are not repeated.
func readRefusal(resp *http.Response) *refusal {
	r := &refusal{url: resp.Request.URL, method: resp.Request.Method, status: resp.StatusCode}
	var body struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRefusal)).Decode(&body); err == nil && len(body.Errors) > 0 {
		r.code = knownCode(body.Errors[0].Code)
	}
	return r
}

// knownCode is a code that has the form of one.
func knownCode(code string) string {
	if len(code) > 40 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return ""
	}
	return code
}

// refused is what a refusal means. Its text goes on from the registry's name.
func (c *connection) refused(r *refusal) error {
	if !c.isOwn(r.url) {
		return fmt.Errorf("sends on to %s, which answers %w: %w", r.url.Host, r, fault.ErrUnavailable)
	}
	switch r.status {
	case http.StatusNotFound, http.StatusGone:
		if r.code == errcode.ErrorCodeNameUnknown {
			return fmt.Errorf("has no repository %s: %w", c.name.Repository, fault.ErrNotFound)
		}
		return fmt.Errorf("has no %s: %w", c.name.artifact(), fault.ErrNotFound)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("refuses %s to %s (%w): %w", c.name.Repository, c.as, r, fault.ErrDenied)
	case http.StatusConflict, http.StatusPreconditionFailed:
		return fmt.Errorf("does not let %s be changed (%w): %w", c.name.artifact(), r, fault.ErrDenied)
	case http.StatusBadRequest:
		if r.code != "" {
			return fmt.Errorf("does not take %s (%w): %w", c.name.artifact(), r, fault.ErrMalformed)
		}
	}
	return fmt.Errorf("answers %w: %w", r, fault.ErrUnavailable)
}

// unanswered says that no answer was had to a request: for want of a
// connection, of a token, or of credentials.
type unanswered struct{ err error }

func (u *unanswered) Error() string { return u.err.Error() }
func (u *unanswered) Unwrap() error { return u.err }

// credentialError says that the credentials could not be read.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

// silent is why there was no answer.
func (c *connection) silent(err error) error {
	if e, ok := errors.AsType[*credentialError](err); ok {
		return e
	}
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		return fmt.Errorf("it refuses %s to %s: %w", c.name.Repository, c.as, fault.ErrDenied)
	}
	if e, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return c.noToken(e)
	}
	if strings.Contains(err.Error(), "bearer realm") { // oras gives it no type of its own
		return fmt.Errorf("it names a token service that is not asked: %.300s: %w", realmProblem(err), fault.ErrDenied)
	}
	e, ok := errors.AsType[*url.Error](err)
	if !ok {
		return err
	}
	// Its text has the whole address.
	if u, bad := url.Parse(e.URL); bad == nil && !c.isOwn(u) && !hasKind(e.Err) {
		return fmt.Errorf("it sends on to %s: %w", u.Host, outbound.Explain(e.Err))
	}
	return outbound.Explain(e.Err)
}

// realmProblem is oras' text without the addresses before it.
func realmProblem(err error) string {
	text := err.Error()
	return text[strings.Index(text, "bearer realm"):]
}

// noToken is what a token service's refusal means.
func (c *connection) noToken(e *errcode.ErrorResponse) error {
	r := &refusal{url: e.URL, method: e.Method, status: e.StatusCode}
	if len(e.Errors) > 0 {
		r.code = knownCode(e.Errors[0].Code)
	}
	kind := fault.ErrUnavailable
	switch r.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		kind = fault.ErrDenied
	}
	return fmt.Errorf("its token service %s gives %s no token for %s (%w): %w", e.URL.Host, c.as, c.name.Repository, r, kind)
}

func hasKind(err error) bool {
	return slices.ContainsFunc([]error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed}, func(kind error) bool {
		return errors.Is(err, kind)
	})
}
