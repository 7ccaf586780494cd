// Package gcpsecretmanager fetches gcpsecretmanager:// secrets: those of Google
// Secret Manager, at its global endpoint and at regional ones.
//
// A container can name a secret. It gets neither a token out of the host nor a
// request to where nobody allowed one: only projects that the configuration
// lists are asked, by Google's own hosts or the one configured endpoint, as the
// one identity that is configured. There is no chain of credentials that are
// tried in turn, and nothing in the environment changes who we are or where we
// ask.
//
// The package speaks to Google through Google's SDK, and fences it in: see
// fence.go. It has the SDK use REST and not gRPC, because gRPC needs HTTP/2, and
// Go's has a debug log with bodies in it, which the environment turns on
// (GODEBUG=http2debug=2) and no library can turn off.
//
// It refuses to know what a secret is used for.
package gcpsecretmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "gcpsecretmanager"

// Config says which projects may be asked, and as whom. With its zero value no
// project is.
type Config struct {
	Projects        []string // that a reference may name, as it names them: by id or by number
	Credentials     string   // "metadata" (also if empty), "workload_identity", "key_file"
	CredentialsFile string   // of "workload_identity" and "key_file"
	Endpoint        string   // host or host:port; empty: Google's own
	CAFile          string   // PEM certificates that sign the endpoint's; empty: the system's
}

// Store implements secrets.Store. It is safe for use by many goroutines.
type Store struct {
	cfg    Config
	pauses pauses
	tokens tokens

	service  http.RoundTripper // Secret Manager
	google   http.RoundTripper // what issues tokens, and other hosts with TLS
	metadata http.RoundTripper // link-local addresses
	loopback http.RoundTripper // this host, without TLS
}

var (
	_ secrets.Store = (*Store)(nil)
	_ io.Closer     = (*Store)(nil)
)

// New returns the store. It asks nobody and reads no file yet. It fails with
// fault.ErrMalformed where the configuration can't be meant.
func New(cfg Config) (*Store, error) {
	return newStore(cfg, func(c outbound.Config) (http.RoundTripper, error) { return outbound.NewConnector(c) },
		pauses{first: 500 * time.Millisecond, most: 5 * time.Second})
}

// newStore has what tests need beside: another way to connect, and shorter
// pauses.
func newStore(cfg Config, connect func(outbound.Config) (http.RoundTripper, error), p pauses) (*Store, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, pauses: p, loopback: outbound.Loopback()}
	for _, t := range []struct {
		to  *http.RoundTripper
		cfg outbound.Config
	}{
		{&s.service, outbound.Config{HTTP1: true, CAFile: cfg.CAFile}},
		{&s.google, outbound.Config{HTTP1: true}},
		{&s.metadata, outbound.Config{HTTP1: true, AllowLinkLocal: true}},
	} {
		var err error
		if *t.to, err = connect(t.cfg); err != nil {
			return nil, err
		}
	}
	s.tokens = tokens{turn: make(chan struct{}, 1), ask: s.instance}
	switch cfg.Credentials {
	case byKeyFile:
		s.tokens.ask = s.account
	case byWorkload:
		s.tokens.ask = s.workload
	}
	return s, nil
}

// discard is the log that the SDK gets: without one it would make its own, on
// standard error, where GOOGLE_SDK_GO_LOGGING_LEVEL says so.
var discard = slog.New(slog.DiscardHandler)

// Close closes the connections that are kept for later. The store can be used
// all the same.
func (s *Store) Close() error {
	for _, t := range []http.RoundTripper{s.service, s.google, s.metadata, s.loopback} {
		(&http.Client{Transport: t}).CloseIdleConnections()
	}
	return nil
}

// Fetch implements secrets.Store. The version is the number of the version that
// was read, also where the reference says "latest" or an alias.
//
// It fails with fault.ErrDenied for a project that the configuration does not
// list, before anything is sent.
func (s *Store) Fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	cred, err := s.fetch(ctx, ref)
	if err != nil {
		return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: err}
	}
	return cred, nil
}

func (s *Store) fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	if ctx.Err() != nil {
		return nil, interrupted(ctx)
	}
	r, err := s.resource(ref)
	if err != nil {
		return nil, err
	}
	as, kept, err := s.tokens.get(ctx, "")
	if err != nil {
		return nil, err
	}
	cred, err := s.read(ctx, r, as)
	if _, refused := errors.AsType[*unauthorizedError](err); refused && kept {
		// It was revoked, or this host's clock is behind.
		if as, _, err = s.tokens.get(ctx, as.value); err != nil {
			return nil, err
		}
		cred, err = s.read(ctx, r, as)
	}
	return cred, err
}

func interrupted(ctx context.Context) error {
	return fmt.Errorf("%w: %w", fault.ErrUnavailable, context.Cause(ctx))
}
