// Package outbound makes the agent's HTTP connections to servers elsewhere.
//
// Whoever may start a container names a URL, so a connection is a thing that an
// attacker can ask for. The package keeps it within bounds: TLS from 1.2 up,
// certificates of the system or of a file, no address where clouds have their
// metadata services unless that is allowed, no proxy that was not configured,
// nothing that unpacks itself, bounded time for each step.
//
// It refuses to know what is fetched, and who may see it.
package outbound

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Config says how to connect. Its zero value connects directly, trusts the
// system's certificates and no link-local address.
type Config struct {
	CAFile         string // PEM certificates that sign servers'; empty: the system's
	AllowLinkLocal bool   // 169.254.0.0/16, fe80::/10 and metadata services elsewhere
	Proxy          string // URL of an HTTP proxy; empty: none

	// Certificate gives a server that asks the client's certificate. It is
	// called for each connection; nil: there is none.
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// HTTP1 keeps to HTTP/1.1: HTTP/2's debug output, which GODEBUG turns on
	// (http2debug=2), has requests and answers in it, tokens and passwords.
	HTTP1 bool
}

// The time that each step of a request may take. A whole request is bounded by
// its context.
const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	headerTimeout    = 10 * time.Second
	idleTimeout      = 90 * time.Second // net/http's own default
	maxHeader        = 64 << 10
)

// Transport returns a transport of its own for a configuration. It fails with
// fault.ErrMalformed where the proxy is no URL, and with the fault of reading
// where the CA file can't be read or has no certificate. The caller closes its
// idle connections. [Explain] has the words for its errors.
//
// A proxy is not asked for this host's loopback addresses, and not for an
// address that would be refused without it. What a name stands for is the
// proxy's to find out, and to refuse.
func Transport(c Config) (*http.Transport, error) {
	proxy, err := c.proxy()
	if err != nil {
		return nil, err
	}
	pool, err := Pool(c.CAFile)
	if err != nil {
		return nil, err
	}
	t := transport(c.refuse)
	t.TLSClientConfig.RootCAs = pool
	t.TLSClientConfig.GetClientCertificate = c.Certificate
	if c.HTTP1 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
	}
	if proxy != nil {
		t.Proxy = c.through(proxy)
		t.OnProxyConnectResponse = func(_ context.Context, u *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode != http.StatusOK {
				return &proxyError{host: u.Host, status: answer.StatusCode}
			}
			return nil
		}
	}
	return t, nil
}

// Loopback returns a transport that reaches this host's loopback addresses
// only, whatever a name stands for: the one for requests without TLS.
func Loopback() *http.Transport { return transport(refuseOthers) }

func transport(refuse control) *http.Transport {
	// After the name was resolved, for each address: a name that answers
	// differently the second time gains nothing.
	dialer := &net.Dialer{Timeout: dialTimeout, Control: refuse}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    4,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // a limit is then one of bytes read
	}
}

// proxy is the configured one; nil if there is none.
func (c Config) proxy() (*url.URL, error) {
	if c.Proxy == "" {
		return nil, nil
	}
	u, err := url.Parse(c.Proxy)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the proxy is not http://HOST:PORT: %w", fault.ErrMalformed)
	}
	return u, nil
}

// through decides which requests take the proxy.
func (c Config) through(proxy *url.URL) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		host := r.URL.Hostname()
		if IsLoopback(host) {
			return nil, nil
		}
		if err := c.CheckHost(host); err != nil {
			return nil, err
		}
		return proxy, nil
	}
}
