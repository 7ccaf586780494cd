package kubeclient

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// serve starts a server with TLS, which takes connections until the end of the
// test.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// clientOf is a client for a server, and the path of its kubeconfig.
func clientOf(t *testing.T, server *httptest.Server, user fields) (*Client, string) {
	t.Helper()
	file := write(t, filepath.Join(t.TempDir(), "kubeconfig"), kubeconfig(t, clusterOf(server), user))
	return New(Config{Kubeconfig: file}), file
}

func clusterOf(server *httptest.Server) fields {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return fields{"server": server.URL + "/prefix", "certificate-authority-data": base64.StdEncoding.EncodeToString(ca)}
}

func TestGetAsksWithTheCredentialsOfTheMoment(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Method, r.URL, r.Header.Get("Accept"), r.Header.Get("Authorization"), r.UserAgent(), r.Header.Get("Accept-Encoding"))
	})
	c, file := clientOf(t, server, fields{"token": "one"})
	want := func(credentials string) {
		t.Helper()
		answer, err := c.Get(t.Context(), "/api/v1/x", Metadata, 1000)
		line := "GET /prefix/api/v1/x " + Metadata + " " + credentials + " gmsa-agent \n"
		if err != nil || string(answer.Body) != line || answer.URL != server.URL+"/prefix/api/v1/x" {
			t.Errorf("%s at %s, %v; want %s", answer.Body, answer.URL, err, line)
		}
	}
	want("Bearer one")
	write(t, file, kubeconfig(t, clusterOf(server), fields{"token": "two"}))
	want("Bearer two")
	token := write(t, filepath.Join(t.TempDir(), "token"), "three")
	write(t, file, kubeconfig(t, clusterOf(server), fields{"tokenFile": token}))
	want("Bearer three")
	write(t, token, "four\n")
	want("Bearer four")
}

func TestGetReusesConnectionsUntilWhatTheyDependOnChanges(t *testing.T) {
	var mu sync.Mutex
	from := map[string]bool{}
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr] = true
	})
	c, file := clientOf(t, server, fields{"token": "one"})
	for i, step := range []struct {
		cluster     fields
		connections int
	}{{clusterOf(server), 1}, {clusterOf(server), 1}, {fields{"tls-server-name": "example.com"}, 2}} {
		cluster := clusterOf(server)
		for name, value := range step.cluster {
			cluster[name] = value
		}
		write(t, file, kubeconfig(t, cluster, fields{"token": fmt.Sprint(i)}))
		if _, err := c.Get(t.Context(), "/", Object, 1); err != nil {
			t.Fatal(err)
		}
		if mu.Lock(); len(from) != step.connections {
			t.Errorf("step %d: %d connections, want %d", i, len(from), step.connections)
		}
		mu.Unlock()
	}
}

func TestGetDoesNotFollowARedirect(t *testing.T) {
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked elsewhere, with %q", r.Header.Get("Authorization"))
	})
	server := serve(t, http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect).ServeHTTP)
	c, _ := clientOf(t, server, fields{"token": "canary"})
	_, err := c.Get(t.Context(), "/", Object, 1)
	wantError(t, err, fault.ErrUnavailable, "307 Temporary Redirect")
}

func TestGetTriesOnceMoreWhereTheServerAsksForIt(t *testing.T) {
	for name, tt := range map[string]struct {
		code     int
		after    string
		requests int32
	}{
		"busy, now":           {429, "0", 2},
		"broken, now":         {503, "0", 2},
		"busy, an hour":       {429, "3600", 1},
		"busy":                {429, "", 1},
		"busy, who knows":     {429, "canary", 1},
		"busy, in years":      {429, "999999999999", 1},
		"broken":              {500, "", 1},
		"missing, but now":    {404, "0", 1},
		"forbidden, and soon": {403, "0", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				w.Header().Set("Retry-After", tt.after)
				w.WriteHeader(tt.code)
			})
			c, _ := clientOf(t, server, nil)
			_, err := c.Get(t.Context(), "/", Object, 1)
			if status, ok := errors.AsType[*StatusError](err); !ok || status.Code != tt.code {
				t.Errorf("error %v", err)
			}
			if n := requests.Load(); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

func TestGetSucceedsAtTheSecondTry(t *testing.T) {
	var requests atomic.Int32
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	c, _ := clientOf(t, server, nil)
	if _, err := c.Get(t.Context(), "/", Object, 1); err != nil {
		t.Error(err)
	}
}

func TestGetWaitsOnlyAsLongAsItsContextLasts(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	c, _ := clientOf(t, server, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	_, err := c.Get(ctx, "/", Object, 1)
	wantError(t, err, fault.ErrUnavailable, "429")
	if ctx.Err() != nil {
		t.Error("it waited in vain until its context ended")
	}
}

func TestStatusErrorIsOneBoundedLine(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"kind":"Status","reason":"Forbidden","message":"a\nb\u001b[31m\u0000%s"}`, strings.Repeat("€", maxMessage))
	})
	c, _ := clientOf(t, server, nil)
	_, err := c.Get(t.Context(), "/", Object, 1)
	wantError(t, err, fault.ErrDenied, "403 Forbidden: a b [31m €")
	if text := err.Error(); len(text) > maxMessage+200 || strings.ContainsAny(text, "\n\x1b\x00") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func TestGetBoundsTheAnswer(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "12345678") })
	c, _ := clientOf(t, server, nil)
	if answer, err := c.Get(t.Context(), "/", Object, 8); err != nil || string(answer.Body) != "12345678" {
		t.Errorf("%s, %v", answer.Body, err)
	}
	_, err := c.Get(t.Context(), "/", Object, 7)
	wantError(t, err, fault.ErrMalformed, "more than 7 bytes")
}
