package oci

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// connection is what one call does with a registry. It is not for several
// goroutines.
type connection struct {
	name name
	repo *remote.Repository
	auth *auth.Client
	as   identity // what was sent, if anything was asked for

	own    *http.Transport // to the registry
	others *http.Transport // to the servers that it names
	plain  *http.Transport // without TLS; nil where there must be
}

// connect prepares to talk to the registry of n. Its error wraps fault.ErrDenied
// where that registry is not to be talked to, else fault.ErrUnavailable.
func (s *Source) connect(n name) (*connection, error) {
	if err := s.admit(n); err != nil {
		return nil, err
	}
	registry := s.cfg.Registries[canonical(n.Registry)]
	c := &connection{name: n}
	if registry.PlainHTTP {
		c.plain = outbound.Loopback()
	}
	if err := c.dialWith(registry.CAFile); err != nil {
		// The kind is the file's and not the document's.
		return nil, fmt.Errorf("registry %s: %v: %w", n.Registry, err, fault.ErrUnavailable)
	}
	c.auth = &auth.Client{
		Client: &http.Client{Transport: c, CheckRedirect: checkRedirect},
		Header: http.Header{"User-Agent": {"gmsa-agent"}},
		Cache:  auth.NewCache(), // for the requests of this call
		Credential: func(_ context.Context, host string) (auth.Credential, error) {
			if host != n.Host() {
				return auth.EmptyCredential, nil
			}
			var err error
			c.as, err = s.cfg.identity(n)
			if err != nil {
				return auth.EmptyCredential, &credentialError{err}
			}
			return c.as.Credential, nil
		},
	}
	c.repo = &remote.Repository{Client: c, Reference: n.Reference, PlainHTTP: registry.PlainHTTP, MaxMetadataBytes: maxManifest}
	return c, nil
}

// admit refuses, with fault.ErrDenied, a registry that is not to be talked to.
func (s *Source) admit(n name) error {
	if _, listed := s.cfg.Registries[canonical(n.Registry)]; s.cfg.RestrictToRegistries && !listed {
		return fmt.Errorf("registry %s is not one that is configured, and no other is asked: %w", n.Registry, fault.ErrDenied)
	}
	return nil
}

// dialWith makes the transports. A registry's certificates are signed by its
// own authority, if it has one; those of the servers that it names by that one
// or by one that the system trusts (the storage of a cloud).
func (c *connection) dialWith(caFile string) (err error) {
	if c.own, err = outbound.Transport(outbound.Config{CAFile: caFile}); err != nil {
		return err
	}
	if c.others, err = outbound.Transport(outbound.Config{}); err != nil {
		return err
	}
	if caFile != "" {
		if c.others.TLSClientConfig.RootCAs, err = withSystem(caFile); err != nil {
			return err
		}
	}
	return nil
}

func withSystem(caFile string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's certificates: %w", err)
	}
	pem, err := os.ReadFile(caFile) // which outbound has found to be one
	if err != nil {
		return nil, err
	}
	pool.AppendCertsFromPEM(pem)
	return pool, nil
}

func (c *connection) close() {
	c.own.CloseIdleConnections()
	c.others.CloseIdleConnections()
	if c.plain != nil {
		c.plain.CloseIdleConnections()
	}
}

// maxRedirects is one more than a registry behind a content network needs.
const maxRedirects = 3

// checkRedirect refuses an upload that is sent on: what is uploaded is for the
// registry that was named. Where else a request may go is RoundTrip's business.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if first := via[0]; first.Method != http.MethodGet && first.Method != http.MethodHead {
		return fmt.Errorf("it redirects an upload to %s: %w", req.URL.Host, fault.ErrDenied)
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("it redirects more than %d times: %w", maxRedirects, fault.ErrUnavailable)
	}
	return nil
}

// RoundTrip sends every request of the connection, and so is where it is
// decided what may be connected to: those to the registry, those that follow a
// redirect, and those for a token.
func (c *connection) RoundTrip(req *http.Request) (*http.Response, error) {
	// A registry without TLS is on this host: so is what has its name.
	registry := url.URL{Host: c.name.Host()}
	sameHost := strings.EqualFold(req.URL.Hostname(), registry.Hostname())
	switch {
	case req.URL.Scheme == "http" && c.plain != nil && sameHost:
		return c.plain.RoundTrip(req)
	case req.URL.Scheme != "https":
		return nil, fmt.Errorf("it sends on to %s without TLS: %w", req.URL.Host, fault.ErrDenied)
	case c.isOwn(req.URL):
		return c.own.RoundTrip(req)
	}
	return c.others.RoundTrip(req)
}

// isOwn reports whether u is the registry's.
func (c *connection) isOwn(u *url.URL) bool {
	return canonical(u.Host) == canonical(c.name.Registry)
}

// Do implements remote.Client. An answer that is none of success is a
// [*refusal]; no answer is an [*unanswered].
func (c *connection) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.auth.Do(req)
	if err != nil {
		return nil, &unanswered{err}
	}
	// The address that storage was asked at is as good as a password for a
	// while, and oras puts addresses into errors.
	shown := resp.Request.Clone(req.Context())
	shown.URL.RawQuery, shown.URL.User = "", nil
	resp.Request = shown
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, readRefusal(resp)
	}
	return resp, nil
}

// explain names the registry in an error, and gives it its kind.
func (c *connection) explain(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("registry %s: %w", c.name.Registry, cause)
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return fmt.Errorf("registry %s %w", c.name.Registry, c.refused(r))
	}
	if u, ok := errors.AsType[*unanswered](err); ok {
		err = c.silent(u.err)
	}
	if !hasKind(err) {
		err = fmt.Errorf("%.300s: %w", err.Error(), fault.ErrUnavailable)
	}
	return fmt.Errorf("registry %s: %w", c.name.Registry, err)
}
