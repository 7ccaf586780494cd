// Package azurekeyvault fetches azurekeyvault:// secrets: those of Azure Key
// Vault, in the public cloud, China's and the US Government's.
//
// A container can name a vault and an identity. It gets neither a token out of
// the host nor a request to where nobody allowed one: only vaults that the
// configuration lists are asked, what a token is for follows from the listed
// host, and who asks is one identity that the reference or the configuration
// names. There is no chain of credentials that are tried in turn, and nothing
// in the environment but what says so changes who we are.
//
// The package speaks to Azure through Microsoft's SDK, and fences it in: see
// fence.go. It refuses to know what a secret is used for.
package azurekeyvault

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "azurekeyvault"

// Config says which vaults may be asked, and as whom. With its zero value no
// vault is.
type Config struct {
	Vaults          []string // hosts that a reference may name
	Identity        string   // for references that name none: "system" (also if empty), "client_id", "object_id", "workload", "certificate"
	ID              string   // of the identity, but for "system"; of "workload": empty for AZURE_CLIENT_ID
	TenantID        string   // of "workload" and "certificate"; of "workload": empty for AZURE_TENANT_ID
	CertificateFile string   // of "certificate": PEM with the key, or PFX without a password
	TokenFile       string   // of "workload"; empty for AZURE_FEDERATED_TOKEN_FILE
}

// Store implements secrets.Store. It is safe for use by many goroutines.
type Store struct {
	cfg    Config
	vaults map[string]cloud // by host
	retry  policy.RetryOptions

	tls, imds http.RoundTripper

	mu          sync.Mutex
	credentials pool[credentialKey, inner]
	clients     pool[clientKey, client]
}

var _ secrets.Store = (*Store)(nil)

// Three attempts, with a pause that is about 0.5 s and then 1.5 s, a fifth
// less to a third more; or as long as the server asks for, up to five seconds.
// One that asks for longer is not asked again. All of it ends with the caller's
// context.
const (
	retries    = 2
	firstPause = 500 * time.Millisecond
	mostPause  = 5 * time.Second
	// A request for a token can wait for Entra ID behind IMDS.
	tryTimeout = 10 * time.Second
)

// New returns the store. It asks nobody and reads no file yet. It fails with
// fault.ErrMalformed where the configuration can't be meant.
func New(cfg Config) (*Store, error) {
	return newStore(cfg, nil, nil, policy.RetryOptions{
		MaxRetries: retries, RetryDelay: firstPause, MaxRetryDelay: mostPause, TryTimeout: tryTimeout,
	})
}

// newStore has what tests need beside: another way to connect, other CAs, and
// shorter pauses.
func newStore(cfg Config, dial func(ctx context.Context, network, address string) (net.Conn, error), roots *x509.CertPool, retry policy.RetryOptions) (*Store, error) {
	silence()
	s := &Store{cfg: cfg, vaults: map[string]cloud{}, retry: retry}
	for _, host := range cfg.Vaults {
		host = strings.TrimSuffix(strings.ToLower(host), ".")
		c, err := cloudOf(host)
		if err != nil {
			return nil, fmt.Errorf("secrets.azurekeyvault.vaults: %q %w", host, err)
		}
		s.vaults[host] = c
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	for _, t := range []struct {
		to  *http.RoundTripper
		cfg outbound.Config
	}{{&s.tls, outbound.Config{}}, {&s.imds, outbound.Config{AllowLinkLocal: true}}} {
		transport, err := outbound.Transport(t.cfg)
		if err != nil {
			return nil, err
		}
		// HTTP/2's debug output (GODEBUG=http2debug=2) has headers and bodies
		// in it: tokens and passwords. HTTP/1 has none.
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP1(true)
		if dial != nil {
			transport.DialContext, transport.TLSClientConfig.RootCAs = dial, roots
		}
		*t.to = transport
	}
	return s, nil
}

// silence turns the SDK's log off, for the whole process: AZURE_SDK_GO_LOGGING
// would have it on standard error.
var silence = sync.OnceFunc(func() { azlog.SetListener(nil) })

// Fetch implements secrets.Store. The version is that of the secret, 32
// hexadecimal digits.
//
// It fails with fault.ErrDenied for a vault that the configuration does not
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
	t, err := s.target(ref)
	if err != nil {
		return nil, err
	}
	id, err := s.identity(ref)
	if err != nil {
		return nil, err
	}
	// Callers of the SDK that need a token wait for the one who fetches it,
	// longer than their own context if need be.
	type outcome struct {
		cred *secrets.Credential
		err  error
	}
	done := make(chan outcome)
	go func() {
		cred, err := s.get(ctx, t, id)
		select {
		case done <- outcome{cred, err}:
		case <-ctx.Done():
			cred.Wipe() // nobody waits any more; of nil there is nothing
		}
	}()
	select {
	case o := <-done:
		return o.cred, o.err
	case <-ctx.Done():
		return nil, interrupted(ctx)
	}
}

// get asks the vault.
func (s *Store) get(ctx context.Context, t target, id identity) (*secrets.Credential, error) {
	c, err := s.client(t, id)
	if err != nil {
		return nil, err
	}
	cred, err := c.read(ctx, t, id)
	if e, ok := errors.AsType[*unauthorizedError](err); ok && e.cached {
		// The SDK's cache outlives a client, and the vault refuses what was in
		// it. The credential has seen that now, and gets another token.
		cred, err = c.read(ctx, t, id)
	}
	return cred, err
}

// read reads the secret.
func (c client) read(ctx context.Context, t target, id identity) (*secrets.Credential, error) {
	x := new(exchange)
	var answer *http.Response
	got, err := c.GetSecret(policy.WithCaptureResponse(x.in(ctx), &answer), t.name, t.version, nil)
	defer wipe(answer)
	if err != nil {
		err = t.explain(ctx, x, err, id)
		if e, ok := errors.AsType[*unauthorizedError](err); ok {
			e.cached = c.credential.wasCached()
		}
		return nil, err
	}
	return t.read(got.Secret)
}

// wipe overwrites the answer as the SDK keeps it.
func wipe(answer *http.Response) {
	if answer == nil || answer.Body == nil {
		return
	}
	if b, err := runtime.Payload(answer); err == nil {
		clear(b)
	}
}

func interrupted(ctx context.Context) error {
	return fmt.Errorf("%w: %w", fault.ErrUnavailable, context.Cause(ctx))
}
