package gcpdouble

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
)

// Fault answers a request in place of the part that was asked, or spoils what
// it answers.
type Fault func(d *Double, w http.ResponseWriter, r *http.Request, real http.Handler)

// Fail has the next requests to a part meet these faults, one each. A nil fault
// is none.
func (d *Double) Fail(s Service, faults ...Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[s] = append(d.faults[s], faults...)
}

// FailAlways has every request to a part meet a fault; nil ends that.
func (d *Double) FailAlways(s Service, f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.always[s] = f
	d.faults[s] = nil
}

// codes are Google's, by the status that each is sent with.
var codes = map[int]string{
	http.StatusBadRequest: "INVALID_ARGUMENT", http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusForbidden: "PERMISSION_DENIED",
	http.StatusNotFound: "NOT_FOUND", http.StatusConflict: "ABORTED", http.StatusTooManyRequests: "RESOURCE_EXHAUSTED", 499: "CANCELLED",
	http.StatusInternalServerError: "INTERNAL", http.StatusNotImplemented: "UNIMPLEMENTED",
	http.StatusServiceUnavailable: "UNAVAILABLE", http.StatusGatewayTimeout: "DEADLINE_EXCEEDED",
}

// Status answers with an error of this status, in the form of Google's APIs.
func Status(status int) Fault { return Refusal(status, codes[status], "") }

// Throttled answers 429. Retry-After is sent as it is given; "" for none.
func Throttled(retryAfter string) Fault {
	return func(_ *Double, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		refuse(w, http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Access requests'.", "RATE_LIMIT_EXCEEDED")
	}
}

// Refusal answers with an error of Google's APIs.
func Refusal(status int, code, reason string) Fault {
	return func(_ *Double, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		refuse(w, status, code, "Error.", reason)
	}
}

// OAuthRefusal answers with an error of a token endpoint.
func OAuthRefusal(status int, code, description string) Fault {
	return func(_ *Double, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		refuseOAuth(w, status, code, description)
	}
}

// Answer answers with a text.
func Answer(status int, contentType, body string) Fault {
	return func(_ *Double, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client may have left
	}
}

// Redirect answers 307 with another place.
func Redirect(to string) Fault {
	return func(_ *Double, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// WithoutFlavor serves the real answer without the header that tells the
// metadata server from whoever else answers at its address.
func WithoutFlavor(_ *Double, w http.ResponseWriter, r *http.Request, real http.Handler) {
	rec := httptest.NewRecorder()
	real.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.Header().Del("Metadata-Flavor")
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()) // the client may have left
}

// Respell serves the real answer with its body changed.
func Respell(change func(string) string) Fault {
	return func(_ *Double, w http.ResponseWriter, r *http.Request, real http.Handler) {
		rec := httptest.NewRecorder()
		real.ServeHTTP(rec, r)
		body := rec.Body.String()
		if rec.Code == http.StatusOK {
			body = change(body)
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(rec.Code)
		_, _ = w.Write([]byte(body)) // the client may have left
	}
}

// AsHTML serves the real answer as text/html.
func AsHTML(_ *Double, w http.ResponseWriter, r *http.Request, real http.Handler) {
	rec := httptest.NewRecorder()
	real.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	if rec.Code == http.StatusOK {
		w.Header().Set("Content-Type", "text/html")
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()) // the client may have left
}

// Truncated announces the real answer and serves half of it.
func Truncated(_ *Double, w http.ResponseWriter, r *http.Request, real http.Handler) {
	half(w, r, real, true)
}

// Chunked serves half of the real answer without saying how long it is, and
// breaks off.
func Chunked(_ *Double, w http.ResponseWriter, r *http.Request, real http.Handler) {
	half(w, r, real, false)
}

func half(w http.ResponseWriter, r *http.Request, real http.Handler, announced bool) {
	rec := httptest.NewRecorder()
	real.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	if rec.Code != http.StatusOK {
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()) // the client may have left
		return
	}
	if !announced {
		w.Header().Del("Content-Length")
	}
	_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// Endless does not stop.
func Endless(d *Double, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	_, err := fmt.Fprint(w, `{"payload":{"data":"`)
	for block := []byte(strings.Repeat(Canary, 1<<10)); err == nil && d.stops.Err() == nil; {
		_, err = w.Write(block)
	}
}

// Slow never answers.
func Slow(d *Double, _ http.ResponseWriter, r *http.Request, _ http.Handler) {
	select {
	case <-r.Context().Done():
	case <-d.stops.Done():
	}
	panic(http.ErrAbortHandler)
}

// Closed breaks the connection without an answer.
func Closed(*Double, http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// Flavored has a fault come from the metadata server itself.
func Flavored(f Fault) Fault {
	return func(d *Double, w http.ResponseWriter, r *http.Request, real http.Handler) {
		w.Header().Set("Metadata-Flavor", "Google")
		f(d, w, r, real)
	}
}
