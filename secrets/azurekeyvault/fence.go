package azurekeyvault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"sync"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// maxAnswer bounds an answer, in bytes. The largest is a secret: 25 KiB, of
// which each character can be \u0000, with fifteen tags of 512 characters each.
// https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
const maxAnswer = 256 << 10

// fence stands between the SDK and the network, and is all that the SDK's
// pipelines can send through. Whatever the SDK takes from its environment or
// from a server's answer, a request gets to the places that are meant, a
// redirect is an answer and not a new request, and an answer is bounded,
// whole, and JSON. What of it the SDK would print or act on is told again in
// words of our own: the codes of errors, and a vault's challenge.
//
// It writes down what became of each request: the errors of azidentity don't
// say that in a way that a program could use.
type fence struct {
	name   string // of the service, for errors
	via    http.RoundTripper
	allows func(*url.URL) bool
	retell func(status int, h http.Header, body []byte) (said codes, challenge string, err error) // an answer that is not 200
}

// Do implements the SDK's policy.Transporter.
func (f *fence) Do(r *http.Request) (*http.Response, error) {
	resp, codes, err := f.do(r)
	exchangeOf(r.Context()).note(resp, codes, err)
	return resp, err
}

func (f *fence) do(r *http.Request) (*http.Response, codes, error) {
	var said codes
	if !f.allows(r.URL) {
		return nil, said, final(fmt.Errorf("%s would be asked at another place than its own: %w", f.name, fault.ErrDenied))
	}
	own, err := withBodyOfItsOwn(r)
	if err != nil {
		return nil, said, final(fmt.Errorf("%s: the request cannot be sent: %w", f.name, fault.ErrUnavailable))
	}
	resp, err := f.via.RoundTrip(own)
	if err != nil {
		return nil, said, f.unanswered(r.Context(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		clear(body)
		return nil, said, f.unanswered(r.Context(), err)
	case len(body) > maxAnswer:
		clear(body)
		return nil, said, final(fmt.Errorf("%s answers with more than %d bytes: %w", f.name, maxAnswer, fault.ErrUnavailable))
	}
	was := resp.Header
	resp.Header, resp.Trailer = retold(was), nil
	resp.Status = fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)) // the phrase is the server's
	if resp.StatusCode == http.StatusOK {
		if kind, _, err := mime.ParseMediaType(was.Get("Content-Type")); err != nil || kind != "application/json" {
			clear(body)
			return nil, said, final(fmt.Errorf("%s answers with something else than JSON: %w", f.name, fault.ErrUnavailable))
		}
	} else {
		var challenge string
		said, challenge, err = f.retell(resp.StatusCode, was, body)
		clear(body)
		if err != nil {
			return nil, said, final(err)
		}
		if challenge != "" {
			resp.Header.Set("WWW-Authenticate", challenge)
		}
		body = said.json()
	}
	resp.ContentLength = int64(len(body))
	resp.Body = &held{Reader: bytes.NewReader(body), b: body}
	return resp, said, nil
}

// withBodyOfItsOwn is r with a copy of its body. A transport may read a body
// after it has failed, and the SDK rewinds it for the next attempt at once.
func withBodyOfItsOwn(r *http.Request) (*http.Request, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err == nil && len(body) > maxRequest {
		err = fmt.Errorf("longer than %d bytes", maxRequest)
	}
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	own := r.Clone(r.Context())
	own.Body, own.GetBody = io.NopCloser(bytes.NewReader(body)), nil
	own.ContentLength = int64(len(body))
	return own, nil
}

// maxRequest bounds what the SDK sends: a form with a signed assertion, some
// 2 KiB.
const maxRequest = 64 << 10

// retold are the headers that the SDK gets: it acts on few, and prints more.
func retold(h http.Header) http.Header {
	to := http.Header{"Content-Type": {"application/json"}}
	for _, name := range []string{"Retry-After", "Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if n := number(h.Get(name)); n != "" {
			to.Set(name, n)
		}
	}
	return to
}

// unanswered says why there is no whole answer.
func (f *fence) unanswered(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	err = outbound.Explain(err)
	_, distrusted := errors.AsType[*outbound.CertificateError](err)
	err = fmt.Errorf("%s: %w", f.name, err)
	if distrusted || !errors.Is(err, fault.ErrUnavailable) {
		return final(err)
	}
	return err
}

// held is an answer that is overwritten when it has been read.
type held struct {
	*bytes.Reader
	b []byte
}

func (h *held) Close() error {
	clear(h.b)
	h.Reader.Reset(nil)
	return nil
}

// finalError is one that the SDK does not try again after.
type finalError struct{ error }

func final(err error) error         { return &finalError{err} }
func (e *finalError) Unwrap() error { return e.error }
func (*finalError) NonRetriable()   {}

// exchange is what became of the last request that was made in a context.
type exchange struct {
	mu     sync.Mutex
	status int // 0: no answer
	codes  codes
	wait   string // Retry-After, in seconds; "" if there is none
	err    error
}

type exchangeKey struct{}

func (x *exchange) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeOf is the one of a context; one that nobody looks at if there is none.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return new(exchange)
}

func (x *exchange) note(resp *http.Response, said codes, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.status, x.codes, x.wait, x.err = 0, said, "", err
	if resp != nil {
		x.status, x.wait = resp.StatusCode, resp.Header.Get("Retry-After")
	}
}

// fail notes what failed before anything was sent.
func (x *exchange) fail(err error) { x.note(nil, codes{}, err) }
