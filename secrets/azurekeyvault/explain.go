package azurekeyvault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// explain says in our words why there is no secret. The SDK's errors are not
// printed: they have what the server wrote in them.
func (t target) explain(ctx context.Context, x *exchange, err error, id identity) error {
	if token, ok := errors.AsType[*tokenError](err); ok {
		return token.why
	}
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	status, said, wait, failed := x.last()
	switch {
	case failed != nil:
		return withKind(failed)
	case status == http.StatusOK:
		return fmt.Errorf("%s answers with something else than a secret: %w", t.host, fault.ErrUnavailable)
	case status == http.StatusUnauthorized:
		return &unauthorizedError{host: t.host, id: id}
	case status == http.StatusForbidden && said.meaning() != "":
		return fmt.Errorf("%s refuses %s: %s (%s): %w", t.host, id, said.meaning(), said.inner, fault.ErrDenied)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s refuses %s: %w", t.host, id, fault.ErrDenied)
	case status == http.StatusNotFound:
		return fmt.Errorf("%s has no such secret, or no such version of it: %w", t.host, fault.ErrNotFound)
	case status == http.StatusBadRequest:
		return fmt.Errorf("%s does not understand the request (400): %w", t.host, fault.ErrMalformed)
	case status == 0:
		return fmt.Errorf("%s was not asked: %w", t.host, fault.ErrUnavailable)
	}
	return unavailable(t.host, status, said, wait)
}

// unauthorizedError is a vault's refusal of a token.
type unauthorizedError struct {
	host   string
	id     identity
	cached bool // the token was in the SDK's cache before
}

func (e *unauthorizedError) Error() string {
	return fmt.Sprintf("%s does not accept the token of %s: %v", e.host, e.id, fault.ErrDenied)
}

func (*unauthorizedError) Unwrap() error { return fault.ErrDenied }

// unavailable is for what may be different next time.
func unavailable(who string, status int, said codes, wait string) error {
	text := fmt.Sprintf("%s answers %d", who, status)
	if name := http.StatusText(status); name != "" {
		text += " " + name
	}
	if s := said.String(); s != "" {
		text += " (" + s + ")"
	}
	switch {
	case status >= 300 && status < 400:
		text += ", and no redirect is followed with a token"
	case wait != "":
		text += ", and asks to wait for " + wait + " s"
	}
	err := fmt.Errorf("%s: %w", text, fault.ErrUnavailable)
	if seconds, bad := strconv.Atoi(wait); bad == nil {
		return &waitError{err, time.Duration(seconds) * time.Second}
	}
	return err
}

// waitError says how long a server asks to be left alone.
type waitError struct {
	error
	wait time.Duration
}

func (e *waitError) Unwrap() error { return e.error }

// RetryAfter implements secrets.Throttle.
func (e *waitError) RetryAfter() time.Duration { return e.wait }

var _ secrets.Throttle = (*waitError)(nil)

func (x *exchange) last() (status int, said codes, wait string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.status, x.codes, x.wait, x.err
}

// withKind is an error of the fence's; one that is due to a context that has
// ended meanwhile gets its kind here.
func withKind(err error) error {
	for _, kind := range []error{fault.ErrDenied, fault.ErrMalformed, fault.ErrUnavailable, errors.ErrUnsupported} {
		if errors.Is(err, kind) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
}
