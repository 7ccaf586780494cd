// Package outbound makes the agent's HTTP connections to servers elsewhere.
//
// Whoever may start a container names a URL, so a connection is a thing that an
// attacker can ask for. The package keeps it within bounds: TLS from 1.2 up,
// certificates of the system or of a file, no link-local address (where clouds
// have their metadata services) unless that is allowed, no proxy that was not
// configured, bounded time for each step.
//
// It refuses to know what is fetched, and who may see it.
package outbound

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"

	"crypto/x509"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Config says how to connect. Its zero value connects directly, trusts the
// system's certificates and no link-local address.
type Config struct {
	CAFile         string // PEM certificates that sign servers'; empty: the system's
	AllowLinkLocal bool   // 169.254.0.0/16 and fe80::/10
	Proxy          string // URL of an HTTP proxy; empty: none
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

// ErrLinkLocal refuses a connection to a link-local address. It wraps
// fault.ErrDenied.
var ErrLinkLocal = fmt.Errorf("is a link-local address, where clouds have their metadata services: %w", fault.ErrDenied)

// Transport returns a transport of its own for a configuration. It fails with
// fault.ErrMalformed where the proxy is no URL, and with the fault of reading
// where the CA file can't be read or has no certificate. The caller closes its
// idle connections.
func Transport(c Config) (*http.Transport, error) {
	pool, err := Pool(c.CAFile)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    4,
		ForceAttemptHTTP2:      true,
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !c.AllowLinkLocal {
		// After the name was resolved, for each address: a name that answers
		// differently the second time gains nothing.
		dialer.Control = refuseLinkLocal
	}
	t.DialContext = dialer.DialContext
	if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("the proxy is not http://HOST:PORT: %w", fault.ErrMalformed)
		}
		t.Proxy = http.ProxyURL(u)
	}
	return t, nil
}

// Pool reads PEM certificates; nil, for the system's, if there is no file.
func Pool(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	const most = 4 << 20 // all of Mozilla's roots have 220 KiB
	info, err := os.Stat(file)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > most) {
		return nil, fmt.Errorf("CA file %s is no file of at most %d bytes: %w", file, most, fault.ErrMalformed)
	}
	var pem []byte
	if err == nil {
		pem, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("CA file %s: %w: %w", file, kind(err), plain(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s has no PEM certificate: %w", file, fault.ErrMalformed)
	}
	return pool, nil
}

func kind(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fault.ErrNotFound
	case errors.Is(err, os.ErrPermission):
		return fault.ErrDenied
	}
	return fault.ErrUnavailable
}

// plain is a file's error without the path, which stands before it already.
func plain(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}

func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if a := ap.Addr().Unmap(); a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() {
		return fmt.Errorf("%s %w", a, ErrLinkLocal)
	}
	return nil
}
