package azuredouble

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

// Status answers with an error of this status, in the form of the part.
func Status(code int) Fault {
	return func(_ *Double, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		// Vaults have an object under "error", the others a text beside a
		// description; a client that reads one of them skips the other.
		answer(w, code, map[string]any{"error": map[string]any{"code": "InternalError", "message": Canary}, "error_description": Canary})
	}
}

// Throttled answers 429. Retry-After is sent as it is given; "" for none.
func Throttled(retryAfter string) Fault {
	return func(_ *Double, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		answer(w, http.StatusTooManyRequests, map[string]any{"error": map[string]any{"code": "Throttled", "message": "Request was not processed because too many requests were received. " + Canary}})
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

// Challenge refuses with this WWW-Authenticate.
func Challenge(header string) Fault {
	return func(_ *Double, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("WWW-Authenticate", header)
		answer(w, http.StatusUnauthorized, map[string]any{"error": map[string]any{"code": "Unauthorized", "message": Canary}})
	}
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
	_, err := fmt.Fprint(w, `{"value":"`)
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
