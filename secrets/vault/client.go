package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/vault/api"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// maxAnswer bounds what is read of an answer, in bytes: no entry of Vault's
// storage has more than 1 MiB (max_entry_size of raft), and JSON's escapes make
// little of a secret longer.
const maxAnswer = 2 << 20

// pauses are those between the tries of a request, each a quarter more or less,
// and patience is how long Vault may have us wait instead.
var pauses = []time.Duration{250 * time.Millisecond, time.Second}

const patience = 5 * time.Second

// newClient returns HashiCorp's client with a token, or without one. It follows
// no redirect and tries nothing again: that is ask's.
//
// The client takes its settings from the environment too, some after the
// caller's own, fails where one of them makes no sense to it, and reads the
// files that they name. Who sets the environment is not who configures the
// agent, and nothing else in this process looks at them.
func (s *Store) newClient(token string) (*api.Client, error) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(strings.ToUpper(name), "VAULT_") {
			if err := os.Unsetenv(name); err != nil {
				return nil, fmt.Errorf("environment variable %s: %w: %w", name, err, fault.ErrUnavailable)
			}
		}
	}
	c, err := api.NewClient(&api.Config{
		Address:          s.cfg.Address,
		HttpClient:       s.httpClient(),
		CheckRetry:       func(context.Context, *http.Response, error) (bool, error) { return false, nil },
		DisableRedirects: true,
	})
	if err != nil {
		return nil, fmt.Errorf("HashiCorp's client cannot be used: %w", fault.ErrUnavailable)
	}
	if s.cfg.Namespace != "" {
		c.SetNamespace(s.cfg.Namespace)
	}
	c.SetToken(token)
	return c, nil
}

// answer is one of Vault's.
type answer struct {
	body []byte // the reader overwrites it
	at   time.Time
	date time.Time // by Vault's clock; zero if it does not say
}

// request is what Vault is asked.
type request struct {
	client  *api.Client
	path    string   // without /v1/
	body    []byte   // nil: to read
	secrets []string // what Vault must not repeat into an error, beside the client's token
}

func (r request) send(ctx context.Context) (*api.Response, error) {
	if r.body == nil {
		return r.client.Logical().ReadRawWithContext(ctx, r.path)
	}
	return r.client.Logical().WriteRawWithContext(ctx, r.path, r.body)
}

// ask makes a request until it is answered, or the tries or the caller's time
// are used up. One that writes is tried again only where Vault says that it was
// not done. An answer other than 200 and 204 is a [*statusError].
func (s *Store) ask(ctx context.Context, r request) (*answer, error) {
	for try := 0; ; try++ {
		a, err := s.once(ctx, r)
		if err == nil || ctx.Err() != nil || try == len(s.pauses) {
			return a, err
		}
		pause := s.pauses[try]*3/4 + rand.N(s.pauses[try]/2+1)
		if status, ok := errors.AsType[*statusError](err); ok {
			if !status.again {
				return nil, err
			}
			pause = max(pause, status.wait)
		} else if _, broken := errors.AsType[*brokenError](err); !broken || r.body != nil {
			return nil, err
		}
		if end, ok := ctx.Deadline(); pause > patience || ok && time.Until(end) <= pause {
			return nil, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

func (s *Store) once(ctx context.Context, r request) (*answer, error) {
	if ctx.Err() != nil {
		return nil, s.at(interrupted(ctx))
	}
	resp, err := r.send(ctx)
	if resp != nil && resp.Response != nil {
		defer resp.Body.Close() //nolint:errcheck // it was read to its end, or the error is the read's
	}
	if refusal, ok := errors.AsType[*api.ResponseError](err); ok {
		return nil, s.refusal(refusal, resp, append(r.secrets, r.client.Token()))
	}
	if err != nil {
		return nil, s.unanswered(ctx, err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return nil, &statusError{host: s.host, code: resp.StatusCode, foreign: true, message: "redirects are not followed, since the token would go along"}
	}
	body, err := outbound.ReadAll(resp.Body, maxAnswer)
	if err != nil {
		return nil, s.unanswered(ctx, err)
	}
	a := &answer{body: body, at: time.Now()}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.date = date
	}
	return a, nil
}

// at names the server in an error.
func (s *Store) at(err error) error { return fmt.Errorf("vault at %s: %w", s.host, err) }

// brokenError is that of a connection that came to nothing, and not for want of
// time.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// unanswered is the error of a request that got no answer, or a part of one.
func (s *Store) unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return s.at(interrupted(ctx))
	}
	if refusal, is := errors.AsType[*api.ResponseError](err); is {
		err = fmt.Errorf("%d: %w", refusal.StatusCode, fault.ErrUnavailable) // its text has the URL
	}
	timeout, ok := errors.AsType[net.Error](err)
	err = outbound.Explain(err)
	_, untrusted := errors.AsType[*outbound.CertificateError](err)
	if ok && timeout.Timeout() || untrusted || !errors.Is(err, fault.ErrUnavailable) {
		return s.at(err)
	}
	return s.at(&brokenError{err})
}

// statusError is an answer of Vault other than 200.
type statusError struct {
	host    string
	code    int
	message string // Vault's, on one line, cut, and without what we sent; or ours
	foreign bool   // the answer is not Vault's
	body    []byte // of a 404, which may tell why

	again bool          // whether to try again may help
	wait  time.Duration // what Vault asks for
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("vault at %s: %s", e.host, outbound.Status(e.code))
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

// Unwrap returns the kind of fault.
func (e *statusError) Unwrap() error {
	switch {
	case e.foreign:
	case e.code == http.StatusForbidden, e.code == http.StatusUnauthorized:
		return fault.ErrDenied
	case e.code == http.StatusNotFound:
		return fault.ErrNotFound
	}
	return fault.ErrUnavailable
}

// RetryAfter implements secrets.Throttle.
func (e *statusError) RetryAfter() time.Duration { return e.wait }

// code is the status of the answer that err is about, 0 if there was none.
func code(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok && !e.foreign {
		return e.code
	}
	return 0
}

// refusal makes the error of an answer that the client takes for one.
func (s *Store) refusal(r *api.ResponseError, resp *api.Response, sent []string) error {
	e := &statusError{host: s.host, code: r.StatusCode, foreign: r.RawError}
	if e.message = "the answer is not Vault's"; !r.RawError {
		e.message = oneLine(strings.Join(r.Errors, "; "), sent)
	}
	if resp == nil || resp.Response == nil {
		return e
	}
	switch {
	case r.StatusCode == http.StatusNotFound && !r.RawError:
		e.body, _ = io.ReadAll(resp.Body) // the client has it in memory
	case r.StatusCode == http.StatusServiceUnavailable && strings.Contains(e.message, "sealed"):
		// Somebody has to unseal it.
	case r.StatusCode == http.StatusPreconditionFailed, // a standby that lags behind
		r.StatusCode == http.StatusTooManyRequests,
		r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented:
		e.again = true
		if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
			e.wait = time.Duration(seconds) * time.Second
		}
	}
	return e
}

// maxMessage bounds what is shown of a server's text, in bytes.
const maxMessage = 300

// oneLine is a server's text made fit for a log and a terminal, without what was
// sent to the server in confidence.
func oneLine(s string, sent []string) string {
	for _, secret := range sent {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if s = strings.Join(strings.Fields(s), " "); len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

// bounded is a transport whose answers have an end.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

var errTooLong = fmt.Errorf("the answer has more than %d bytes: %w", maxAnswer, fault.ErrMalformed)

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if n > b.left {
		return 0, errTooLong
	}
	b.left -= n
	return n, err
}
