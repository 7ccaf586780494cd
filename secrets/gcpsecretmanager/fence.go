package gcpsecretmanager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// maxAnswer bounds an answer, in bytes. The largest is a secret of 64 KiB in
// base64.
// https://cloud.google.com/secret-manager/quotas#content_limits
const maxAnswer = 128 << 10

// fence stands between the SDK and the network, and is all that the SDK's
// clients can send through. Whatever the SDK takes from its environment or from
// a server's answer, a request gets to the place that is meant, and an answer
// is bounded, whole, JSON and a success: any other, a redirect too, is an error
// in words of our own. The SDK would repeat what the server wrote.
//
// It tries again what may pass, and is the only one that does.
type fence struct {
	name   string // of the service, for errors
	via    http.RoundTripper
	pauses pauses
	place  func(*http.Request) bool                                 // completes a request; false if it would go elsewhere
	judge  func(status int, h http.Header, body []byte) (why error) // nil for 200 only; wraps a fault kind
	text   bool                                                     // an answer need not be JSON
}

// pauses are those between attempts: the first, and the longest that a server
// may ask for.
type pauses struct{ first, most time.Duration }

const (
	// Three attempts, with a pause that is about 0.5 s and then 1.5 s, a fifth
	// less to a third more, or as long as the server asks for. All of it ends
	// with the caller's context.
	attempts = 3
	// Metadata servers wait for others behind them.
	tryTimeout = 10 * time.Second
)

func (p pauses) before(retry int, asked time.Duration) time.Duration {
	if asked > 0 {
		return asked
	}
	d := p.first
	for range retry - 1 {
		d *= 3
	}
	return d*4/5 + rand.N(d/2+1)
}

// told is an error in our words, for the SDK to hand on.
type told struct {
	error
	passes bool          // a later attempt may succeed
	wait   time.Duration // that the server asks for; 0 if it does not
}

func (e *told) Unwrap() error { return e.error }

// explain is the error that a fence told, whatever the SDK made of it.
// otherwise is for what the SDK found fault with.
func explain(ctx context.Context, err, otherwise error) error {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	if t, ok := errors.AsType[*told](err); ok {
		return t.error
	}
	return otherwise
}

// RoundTrip implements http.RoundTripper.
func (f *fence) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if r.Body != nil {
		defer r.Body.Close()
	}
	r = r.Clone(ctx)
	if !f.place(r) {
		return nil, &told{error: fmt.Errorf("%s would be asked at another place than its own: %w", f.name, fault.ErrDenied)}
	}
	for n := 1; ; n++ {
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			r.Body = body
		}
		resp, failed := f.try(r)
		if failed == nil {
			return resp, nil
		}
		if ctx.Err() != nil || !failed.passes || n == attempts || failed.wait > f.pauses.most {
			return nil, failed
		}
		select {
		case <-time.After(f.pauses.before(n, failed.wait)):
		case <-ctx.Done():
			return nil, failed
		}
	}
}

func (f *fence) try(r *http.Request) (*http.Response, *told) {
	ctx, cancel := context.WithTimeout(r.Context(), tryTimeout)
	defer cancel()
	resp, err := f.via.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, f.unanswered(err)
	}
	defer resp.Body.Close()
	b := make([]byte, maxAnswer+1)
	n, err := fill(b, resp.Body)
	body := b[:n]
	switch {
	case err != nil:
		clear(b)
		return nil, f.unanswered(err)
	case n > maxAnswer:
		clear(b)
		return nil, &told{error: fmt.Errorf("%s answers with more than %d bytes: %w", f.name, maxAnswer, fault.ErrUnavailable)}
	}
	if why := f.judge(resp.StatusCode, resp.Header, body); why != nil {
		clear(b)
		return nil, refusal(why, resp)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); !f.text && (err != nil || kind != "application/json") {
		clear(b)
		return nil, &told{error: fmt.Errorf("%s answers with something else than JSON: %w", f.name, fault.ErrUnavailable)}
	}
	// Of the rest of an answer nothing is of use, and the SDK would log it.
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: resp.Proto, ProtoMajor: resp.ProtoMajor, ProtoMinor: resp.ProtoMinor,
		Header:        http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(n), Body: &held{Reader: bytes.NewReader(body), b: b}, Request: r,
	}, nil
}

// fill reads all of r, or as much as b has room for. io.ReadAll would leave
// behind what it grows by, and io.ReadFull can't tell an answer's end from its
// breaking off.
func fill(b []byte, r io.Reader) (n int, err error) {
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		switch {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
	}
	return n, nil
}

// refusal is an answer that is judged not to be one.
func refusal(why error, resp *http.Response) *told {
	t := &told{error: why}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		t.passes = true
	}
	// A date, which none of these services sends, counts as none.
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 && n < 1_000_000 {
		t.wait = time.Duration(n) * time.Second
		t.error = &waitError{why, n}
	}
	return t
}

// waitError says how long a server asks to be left alone.
type waitError struct {
	error
	seconds int
}

func (e *waitError) Error() string {
	return fmt.Sprintf("%v; it asks to wait for %d s", e.error, e.seconds)
}

func (e *waitError) Unwrap() error { return e.error }

// RetryAfter implements secrets.Throttle.
func (e *waitError) RetryAfter() time.Duration { return time.Duration(e.seconds) * time.Second }

var _ secrets.Throttle = (*waitError)(nil)

// unanswered says why there is no whole answer.
func (f *fence) unanswered(err error) *told {
	err = outbound.Explain(err)
	_, distrusted := errors.AsType[*outbound.CertificateError](err)
	t := &told{error: fmt.Errorf("%s: %w", f.name, err)}
	t.passes = !distrusted && errors.Is(err, fault.ErrUnavailable)
	return t
}

// unavailable is for what may be different next time. code is one that is known,
// or "".
func unavailable(name string, status int, code string) error {
	text := name + " answers " + outbound.Status(status)
	if code != "" {
		text += " (" + code + ")"
	}
	if status >= 300 && status < 400 {
		text += ", and no redirect is followed"
	}
	return fmt.Errorf("%s: %w", text, fault.ErrUnavailable)
}

// held is an answer that is overwritten when it has been read.
type held struct {
	*bytes.Reader
	b []byte
}

// Close implements io.Closer.
func (h *held) Close() error {
	clear(h.b)
	h.Reader.Reset(nil)
	return nil
}
