// Package httpslab is an https server with certificates of its own, documents
// with validators, redirects, a token, and every fault that a server was ever
// seen to have.
//
// It runs in the test's process, on loopback addresses with free ports, several
// at once if need be, and needs nothing to be set up. It knows paths and bytes;
// what a credential spec is it does not know.
//
//	/specs/NAME    a document with ETag and Last-Modified
//	/weak/NAME     with a weak ETag
//	/dated/NAME    with Last-Modified alone
//	/young/NAME    with a Last-Modified of this very second
//	/bare/NAME     with neither
//	/private/NAME  for who sends the lab's token
//	/redirect/CODE?to=URL, and with &pad=N to an URL with N x's behind it
//	/loop          to itself
//	/status/CODE   an answer with this status; Retry-After with some
//	/fault/KIND/NAME, see faults.go
package httpslab

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Token is the bearer token that /private/ wants.
const Token = "canary-token-5f1c9a"

// Canary stands in what the server says besides documents. No error may repeat
// it.
const Canary = "canary-answer-c07d31"

// Options choose a lab.
type Options struct {
	HTTP1       bool        // speaks no HTTP/2; some faults need that
	Certificate Certificate // the server's; zero is a good one
}

// Lab is a running server.
type Lab struct {
	URL       string // "https://127.0.0.1:PORT"
	Plain     string // "http://127.0.0.1:PORT", the same without TLS
	Silent    string // "https://127.0.0.1:PORT", where nobody answers
	Proxy     string // "http://127.0.0.1:PORT", a proxy that leads from every https server to this one
	CAFile    string // PEM: the CA of the server's certificate
	TokenFile string // holds Token, for its owner alone

	dir    string
	stop   context.CancelFunc // of what waits in a handler
	stops  context.Context
	close  []io.Closer
	served sync.WaitGroup
	ca     *lab.Authority
	addr   string // of the https server

	mu          sync.Mutex
	documents   map[string]document
	puts        int
	requests    []Request
	connects    []string
	proxyStatus int
}

// document is what is stored under a name.
type document struct {
	data     []byte
	etag     string // without quotes
	modified time.Time
}

// Request is one that the server got.
type Request struct {
	Protocol      string // "HTTP/2.0"
	Host          string // as the client names the server
	Path          string // with the query
	Authorization string
	Condition     string // If-None-Match or If-Modified-Since
}

// Start starts a lab; the caller stops it.
func Start(opts Options) (*Lab, error) {
	l := &Lab{documents: make(map[string]document)}
	l.stops, l.stop = context.WithCancel(context.Background())
	if err := l.start(opts); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return l, nil
}

func (l *Lab) start(opts Options) (err error) {
	if l.dir, err = os.MkdirTemp("", "httpslab-"); err != nil {
		return err
	}
	if l.ca, err = lab.NewAuthority("httpslab CA"); err != nil {
		return err
	}
	l.CAFile, l.TokenFile = filepath.Join(l.dir, "ca.pem"), filepath.Join(l.dir, "token")
	cert, err := serverCertificate(l.ca, opts.Certificate)
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(l.CAFile, l.ca.PEM(), 0o644), os.WriteFile(l.TokenFile, []byte(Token+"\n"), 0o600)); err != nil {
		return err
	}
	secure := l.server(l.handler())
	secure.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
	secure.Protocols = new(http.Protocols)
	secure.Protocols.SetHTTP1(true)
	secure.Protocols.SetHTTP2(!opts.HTTP1)
	if l.addr, err = l.listen(func(ln net.Listener) error { return secure.ServeTLS(ln, "", "") }); err != nil {
		return err
	}
	plain, err := l.listen(l.server(l.handler()).Serve)
	if err != nil {
		return err
	}
	proxy, err := l.listen(l.server(http.HandlerFunc(l.connect)).Serve)
	if err != nil {
		return err
	}
	silent, err := l.listen(nil)
	l.URL, l.Plain, l.Proxy, l.Silent = "https://"+l.addr, "http://"+plain, "http://"+proxy, "https://"+silent
	return err
}

func (l *Lab) server(h http.Handler) *http.Server {
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)} // clients that leave are the purpose
	l.close = append(l.close, s)
	return s
}

// listen serves on a free port; with nil it leaves connections where they are.
func (l *Lab) listen(serve func(net.Listener) error) (addr string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	l.close = append(l.close, ln)
	if serve != nil {
		l.served.Go(func() { _ = serve(ln) }) // ends with Stop
	}
	return ln.Addr().String(), nil
}

// Stop ends the lab and removes its files.
func (l *Lab) Stop() error {
	l.stop()
	for _, c := range l.close {
		_ = c.Close() // a listener that its server has closed says so
	}
	l.served.Wait()
	return os.RemoveAll(l.dir)
}

// Put stores a document. Every one is a second younger than the one before.
func (l *Lab) Put(name string, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.puts++
	l.documents[name] = document{
		data:     append([]byte(nil), data...),
		etag:     "v" + strconv.Itoa(l.puts),
		modified: time.Now().Add(-time.Hour).Truncate(time.Second).Add(time.Duration(l.puts) * time.Second),
	}
}

// Remove removes a document.
func (l *Lab) Remove(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.documents, name)
}

// Requests are those since the last call, in the order in which they
// came.
func (l *Lab) Requests() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.requests
	l.requests = nil
	return all
}

// Connects are the servers that the proxy was asked for since the last call.
func (l *Lab) Connects() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.connects
	l.connects = nil
	return all
}

// RefuseConnects has the proxy refuse with a status; 0 ends that.
func (l *Lab) RefuseConnects(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxyStatus = status
}
