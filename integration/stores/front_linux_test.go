package stores

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/netlab"
)

// front stands before a real server, by the names that the agent knows, on port
// 443. It counts what is asked and puts it into conditions that the server itself
// cannot be put into. It speaks HTTP/2 to who can.
type front struct {
	h   *host
	way *netlab.Way

	throttle, refuse http.Handler               // answer in the server's own words
	asks             func(*http.Request) string // names the secret that a request asks for; "" for others

	mu       sync.Mutex
	is       condition
	asked    map[string]int
	stranger bool // shows a certificate of an unknown authority
	leaves   map[bool]*tls.Certificate
}

// newFront starts a front before the server at a URL. The transport is how to
// reach it.
func (h *host) newFront(to string, transport http.RoundTripper, names ...string) *front {
	h.Helper()
	target, err := url.Parse(to)
	h.must(err)
	f := &front{h: h, is: healthy, asked: map[string]int{}, leaves: map[bool]*tls.Certificate{}, asks: func(*http.Request) string { return "" }}
	for _, stranger := range []bool{false, true} {
		leaf, root := h.certificate(names...)
		f.leaves[stranger] = leaf
		if !stranger {
			h.roots = append(h.roots, root...)
		}
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), // the agent says what it sees
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, proxy) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.leaves[f.stranger], nil
	}}
	s.StartTLS()
	h.Cleanup(s.Close)
	at := h.address()
	for _, name := range names {
		h.network.Name(name, at)
	}
	f.way = h.forward(netip.AddrPortFrom(at, 443), s.Listener.Addr().String())
	h.Cleanup(f.way.Cut) // before the server waits for their end
	return f
}

// certificate makes a server's certificate and, in PEM, the one that signed it.
func (h *host) certificate(names ...string) (*tls.Certificate, []byte) {
	h.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	h.must(err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// become puts the server, as it is seen through the front, into a condition.
func (f *front) become(to condition) bool {
	f.h.Helper()
	f.mu.Lock()
	f.is, f.stranger = to, to == untrusted
	f.mu.Unlock()
	switch to {
	case stopped:
		f.way.Cut()
	case slow:
		f.way.Hang()
	case untrusted: // connections that there are have been trusted
		f.way.Cut()
		f.h.must(f.way.Mend())
	default:
		f.h.must(f.way.Mend())
	}
	return true
}

func (f *front) requests(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[name]
}

func (f *front) serve(w http.ResponseWriter, r *http.Request, server http.Handler) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client has left
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	name := f.asks(r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	now := f.is
	if name != "" {
		f.asked[name]++
	} else if now != throttled {
		now = healthy // logging in goes on
	}
	f.mu.Unlock()
	switch now {
	case throttled:
		f.throttle.ServeHTTP(w, r)
	case refuses:
		f.refuse.ServeHTTP(w, r)
	case half:
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2]) // the client may have left
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case foreign:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, portal) // the client may have left
	default:
		server.ServeHTTP(w, r)
	}
}

// says answers with a status and a JSON text, and asks to be asked again after
// a second if it is no refusal.
func says(status int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status != http.StatusForbidden {
			w.Header().Set("Retry-After", "1")
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text) // the client may have left
	})
}
