package azurekeyvault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// inner is one identity's credential as the SDK has it, with the SDK's cache of
// tokens. Vaults of one cloud share it.
type inner struct{ azcore.TokenCredential }

type credentialKey struct {
	audience string
	id       identity
	sum      [32]byte // of the certificate file
}

// clientOptions are those of every client of the SDK's.
func (s *Store) clientOptions(c cloud, f *fence) azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     c.forSDK(),
		Retry:     s.retry,
		Transport: f,
		Telemetry: policy.TelemetryOptions{ApplicationID: "gmsa-agent"},
	}
}

// managed is the credential of a managed identity, of IMDS and nothing else.
func (s *Store) managed(c cloud, id identity) (inner, error) {
	if err := checkSource(); err != nil {
		return inner{}, err
	}
	f := &fence{
		name: "IMDS", via: s.imds,
		// The API version and the parameters are the SDK's business.
		allows: func(u *url.URL) bool {
			return u.Scheme == "http" && u.Host == "169.254.169.254" && u.Path == "/metadata/identity/oauth2/token"
		},
		retell: retellOAuth,
	}
	options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: s.clientOptions(c, f)}
	switch id.kind {
	case byClientID:
		options.ID = azidentity.ClientID(id.id)
	case byObjectID:
		options.ID = azidentity.ObjectID(id.id)
	}
	credential, err := azidentity.NewManagedIdentityCredential(options)
	if err != nil {
		return inner{}, fmt.Errorf("%s cannot be used: %w", id, fault.ErrUnavailable)
	}
	return inner{credential}, nil
}

// checkSource refuses an environment that has the SDK ask somebody else than
// IMDS for a managed identity's token: it would do so without a word, and be
// somebody else.
func checkSource() error {
	source, err := managedidentity.GetSource()
	if err == nil && source == managedidentity.DefaultToIMDS {
		return nil
	}
	return fmt.Errorf("this host's managed identity is that of %s, by the environment (IDENTITY_ENDPOINT, IDENTITY_HEADER, MSI_ENDPOINT, IMDS_ENDPOINT) or by its agent; "+
		"only that of virtual machines (IMDS), workload and certificate are known here: %w", source, errors.ErrUnsupported)
}

// application is the credential of an application: a workload identity, or one
// with a certificate.
func (s *Store) application(c cloud, id identity, file []byte) (inner, error) {
	if err := checkRegion(); err != nil {
		return inner{}, err
	}
	f := &fence{
		name: "Entra ID", via: s.tls,
		allows: func(u *url.URL) bool { return u.Scheme == "https" && c.isAuthority(u.Host) },
		retell: retellOAuth,
	}
	var credential azcore.TokenCredential
	var err error
	if id.kind == byCertificate {
		credential, err = s.certificate(c, id, file, f)
	} else {
		credential, err = azidentity.NewClientAssertionCredential(id.tenant, id.id, assertion(id.file), &azidentity.ClientAssertionCredentialOptions{
			ClientOptions: s.clientOptions(c, f), DisableInstanceDiscovery: true, // the authorities are constants
		})
	}
	if err != nil {
		return inner{}, withKind(err)
	}
	return inner{credential}, nil
}

// checkRegion refuses settings of the SDK's that have it send what an
// application authenticates with to another host, and look for that with a
// client that is not ours.
func checkRegion() error {
	for _, name := range []string{"AZURE_REGIONAL_AUTHORITY_NAME", "MSAL_FORCE_REGION"} {
		if os.Getenv(name) != "" {
			return fmt.Errorf("%s is set: regional authorities of Entra ID are not used here: %w", name, errors.ErrUnsupported)
		}
	}
	return nil
}

func retellOAuth(_ int, _ http.Header, body []byte) (codes, string, error) {
	return oauthAnswer(body), "", nil
}

// credential is what a vault's client gets its tokens from.
type credential struct {
	inner inner
	id    identity
	cloud cloud
	host  string

	mu     sync.Mutex
	last   string // the token that was given out last
	cached bool   // nobody was asked for it
}

// tokenError says why there is no token. The SDK's own errors have what a
// server wrote in them.
type tokenError struct{ why error }

func (e *tokenError) Error() string { return e.why.Error() }
func (e *tokenError) Unwrap() error { return e.why }
func (*tokenError) NonRetriable()   {}

// GetToken implements azcore.TokenCredential.
func (c *credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if !slices.Equal(o.Scopes, []string{c.cloud.scope()}) {
		return azcore.AccessToken{}, &tokenError{fmt.Errorf("no token for anything else than %s: %w", c.cloud.audience, fault.ErrDenied)}
	}
	if !c.id.isManaged() && o.TenantID != c.id.tenant {
		return azcore.AccessToken{}, &tokenError{fmt.Errorf("%s belongs to tenant %s, where %s is unknown: %w", c.host, o.TenantID, c.id, fault.ErrDenied)}
	}
	o.TenantID = "" // the identity has its own
	x := new(exchange)
	token, err := c.inner.GetToken(x.in(ctx), o)
	if err == nil && c.wasRefused(token) {
		// The SDK knows its token by the time for which it is valid, and gives
		// it out again. With claims, be they empty, it asks for a new one.
		o.Claims = "{}"
		token, err = c.inner.GetToken(x.in(ctx), o)
	}
	if err != nil {
		return azcore.AccessToken{}, &tokenError{c.explain(ctx, x)}
	}
	status, _, _, _ := x.last()
	c.mu.Lock()
	c.last, c.cached = token.Token, status == 0
	c.mu.Unlock()
	return token, nil
}

func (c *credential) wasCached() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cached
}

// wasRefused: the client keeps a token until it is due. If it asks for one
// before that, the vault refused the one it has: it was revoked, or this host's
// clock is behind.
func (c *credential) wasRefused(t azcore.AccessToken) bool {
	due := t.RefreshOn
	if due.IsZero() {
		due = t.ExpiresOn.Add(-5 * time.Minute) // as the SDK has it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.Token == c.last && time.Now().Before(due)
}

func (c *credential) explain(ctx context.Context, x *exchange) error {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	who := "Entra ID"
	if c.id.isManaged() {
		who = "IMDS"
	}
	status, said, wait, err := x.last()
	switch {
	case err != nil:
		return fmt.Errorf("no token for %s: %w", c.id, withKind(err))
	case status == 0 || status == http.StatusOK:
		return fmt.Errorf("no token for %s: %s answers with something else than a token: %w", c.id, who, fault.ErrUnavailable)
	case status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden:
		if oauthCodes[said.code] {
			break
		}
		why := said.meaning()
		if why == "" && c.id.isManaged() {
			why = "it is not assigned to this host"
			if c.id.kind == bySystem {
				why = "this host has none, or several and none of its own"
			}
		}
		return fmt.Errorf("no token for %s: %s (%s answers %s): %w", c.id, why, who, strings.TrimSpace(fmt.Sprint(status, " ", said)), fault.ErrDenied)
	}
	return fmt.Errorf("no token for %s: %w", c.id, unavailable(who, status, said, wait))
}
