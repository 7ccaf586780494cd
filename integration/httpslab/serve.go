package httpslab

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func (l *Lab) handler() http.Handler {
	mux := http.NewServeMux()
	for kind, validators := range map[string]func(http.Header, document) time.Time{
		"specs":   func(h http.Header, d document) time.Time { h.Set("ETag", `"`+d.etag+`"`); return d.modified },
		"private": func(h http.Header, d document) time.Time { h.Set("ETag", `"`+d.etag+`"`); return d.modified },
		"weak":    func(h http.Header, d document) time.Time { h.Set("ETag", `W/"`+d.etag+`"`); return time.Time{} },
		"dated":   func(_ http.Header, d document) time.Time { return d.modified },
		"young":   func(http.Header, document) time.Time { return time.Now() },
		"bare":    func(http.Header, document) time.Time { return time.Time{} },
	} {
		mux.HandleFunc("/"+kind+"/{name}", func(w http.ResponseWriter, r *http.Request) {
			if kind == "private" && !authorized(r) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+Canary+`"`)
				http.Error(w, Canary, http.StatusUnauthorized)
				return
			}
			d, ok := l.document(r)
			if !ok {
				http.Error(w, Canary, http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			http.ServeContent(w, r, "", validators(w.Header(), d), bytes.NewReader(d.data))
		})
	}
	mux.HandleFunc("/redirect/{code}", func(w http.ResponseWriter, r *http.Request) {
		// Not http.Redirect, which makes the address absolute and clean.
		if to := r.URL.Query().Get("to"); to != "" {
			pad, _ := strconv.Atoi(r.URL.Query().Get("pad"))
			w.Header().Set("Location", to+strings.Repeat("x", min(max(pad, 0), 1<<20)))
		}
		l.status(w, r)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/status/{code}", l.status)
	mux.HandleFunc("/fault/{kind}/{name}", l.fault)
	return l.recorded(mux)
}

func authorized(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+Token)) == 1
}

func (l *Lab) document(r *http.Request) (document, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.documents[r.PathValue("name")]
	return d, ok
}

func (l *Lab) status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil || code < 200 || code > 999 {
		code = http.StatusTeapot
	}
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "120")
	}
	w.WriteHeader(code)
	if code != http.StatusNoContent && code != http.StatusNotModified {
		fmt.Fprintln(w, Canary)
	}
}

// recorded notes what is asked, before the answer is seen.
func (l *Lab) recorded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		condition := r.Header.Get("If-None-Match")
		if condition == "" {
			condition = r.Header.Get("If-Modified-Since")
		}
		l.mu.Lock()
		l.requests = append(l.requests, Request{r.Proto, r.Host, r.URL.RequestURI(), r.Header.Get("Authorization"), condition})
		l.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// connect is the proxy: CONNECT to any server leads to this one.
func (l *Lab) connect(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.connects = append(l.connects, r.Host)
	status := l.proxyStatus
	l.mu.Unlock()
	if r.Method != http.MethodConnect {
		status = http.StatusMethodNotAllowed
	}
	if status != 0 {
		http.Error(w, Canary, status)
		return
	}
	server, err := net.Dial("tcp", l.addr)
	if err != nil {
		http.Error(w, Canary, http.StatusBadGateway)
		return
	}
	defer server.Close()
	w.WriteHeader(http.StatusOK)
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	// Whichever side ends first, and the lab's end, end the other.
	go func() {
		_, _ = io.Copy(server, buffered)
		server.Close()
	}()
	go func() {
		<-l.stops.Done()
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}
