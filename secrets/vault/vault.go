// Package vault fetches vault:// secrets: those of HashiCorp Vault and OpenBao,
// from the key-value engines of either version and from the engines that rotate
// passwords of Active Directory.
//
// A reference names a path, and whoever may start a container may write one. So
// the package asks Vault first what is mounted where the path leads, and reads
// only what is such a secret: there is no reference that issues a certificate,
// makes a database user or reads Vault's own settings. Who asks is one identity,
// that of the configuration; nothing in the environment changes it.
//
// The package speaks to Vault through HashiCorp's client, and fences it in: see
// client.go. It refuses to know what a secret is used for.
package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "vault"

// Config says where Vault is, as whom it is asked, and for what.
type Config struct {
	Address   string // URL
	Namespace string
	CAFile    string            // PEM certificates that sign Vault's; empty: the system's
	Allowed   func(string) bool // whether a reference may name this MOUNT/PATH; nil: whatever Vault allows
	Auth      Auth
}

// Auth says how to log in.
type Auth struct {
	Method       string // "token", "approle", "jwt", "kubernetes", "cert"
	Mount        string // empty: the method's name
	Role         string // of "jwt", "kubernetes" and "cert"
	TokenFile    string // of "token", "jwt" and "kubernetes"
	RoleIDFile   string // of "approle"
	SecretIDFile string // of "approle"
	CertFile     string // of "cert"
	KeyFile      string // of "cert"
}

// Store implements secrets.Store. It is safe for use by many goroutines. Whoever
// is done with it calls Close.
type Store struct {
	cfg       Config
	host      string // of the address, for people
	method    method
	transport *outbound.Connector
	pauses    []time.Duration // between the tries of a request

	login    chan struct{} // who has put something in logs in
	mu       sync.Mutex
	closed   bool
	session  *session // nil: nobody is logged in
	denied   denial
	renewals sync.WaitGroup
	mounts   map[string]mount // by path, with a slash at the end
}

var _ secrets.Store = (*Store)(nil)

// New returns the store. It asks nobody and reads no file yet. It fails with
// fault.ErrMalformed where the configuration can't be meant.
func New(cfg Config) (*Store, error) {
	s := &Store{cfg: cfg, pauses: pauses, login: make(chan struct{}, 1), mounts: map[string]mount{}}
	if cfg.Address != "" {
		u, err := address(cfg.Address)
		if err != nil {
			return nil, fmt.Errorf("secrets.vault.address: %w", err)
		}
		s.host = u.Host
	}
	var err error
	if s.method, err = newMethod(cfg.Auth); err != nil {
		return nil, fmt.Errorf("secrets.vault.auth: %w", err)
	}
	oc := outbound.Config{CAFile: cfg.CAFile, HTTP1: true}
	if cfg.Auth.CertFile != "" {
		oc.Certificate = cfg.Auth.certificate
	}
	s.transport, err = outbound.NewConnector(oc)
	return s, err
}

// address reads the URL of a server: https, or http on this host.
func address(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("not https://HOST[:PORT]: %w", fault.ErrMalformed)
	case u.Scheme == "https", u.Scheme == "http" && outbound.IsLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("not https, which only a server on this host may do without: %w", fault.ErrMalformed)
}

// Fetch implements secrets.Store. The version is that of the secret in version 2
// of the key-value engine, with the time at which it was made; the time of the
// last rotation in the LDAP and AD engines; version 1 has none. The credential
// expires where Vault says for how long it is good.
//
// It fails with fault.ErrDenied, before anything is sent, for a path that the
// configuration does not allow.
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
	if r, err := secrets.ParseRef(ref.String()); err != nil || r.Scheme != Scheme || !r.Equal(ref) {
		return nil, fmt.Errorf("not a vault:// reference in its canonical spelling: %w", fault.ErrMalformed)
	}
	switch {
	case s.cfg.Address == "":
		return nil, fmt.Errorf("no Vault is configured (secrets.vault.address): %w", errors.ErrUnsupported)
	case s.cfg.Allowed != nil && !s.cfg.Allowed(ref.Rest):
		return nil, fmt.Errorf("secrets.vault.paths does not allow this path: %w", fault.ErrDenied)
	}
	cred, known, err := s.read(ctx, ref)
	if err != nil && known && errors.Is(err, fault.ErrNotFound) {
		// Something else may be mounted there since it was asked.
		s.forget(ref.Rest)
		cred, _, err = s.read(ctx, ref)
	}
	return cred, err
}

// read reads the secret from the engine that has it. known says that which one
// that is was not asked just now.
func (s *Store) read(ctx context.Context, ref secrets.Ref) (cred *secrets.Credential, known bool, err error) {
	m, known, err := s.mounted(ctx, ref.Rest)
	if err != nil {
		return nil, known, err
	}
	cred, err = m.read(ctx, s, m, ref.Rest[len(m.path):], ref.Query.Get("field"))
	return cred, known, err
}

// Close ends the renewal of the token, and the token itself if it is one that
// the store got by logging in. Fetches fail from then on.
func (s *Store) Close() error {
	s.mu.Lock()
	old := s.session
	s.session, s.closed = nil, true
	s.mu.Unlock()
	if old != nil {
		old.stop()
		s.revoke(old)
	}
	s.renewals.Wait()
	s.transport.CloseIdleConnections()
	return nil
}

// interrupted is the error of a caller whose context has ended.
func interrupted(ctx context.Context) error {
	return fmt.Errorf("%w: %w", fault.ErrUnavailable, context.Cause(ctx))
}

// httpClient follows no redirect: the token would go along.
func (s *Store) httpClient() *http.Client {
	return &http.Client{
		Transport:     bounded{s.transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
