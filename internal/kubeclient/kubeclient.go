// Package kubeclient connects the agent to a Kubernetes API server, for
// everything of ours that asks one.
//
// Who the agent is there comes from a kubeconfig or from the pod that it runs
// in; client-go reads both, makes the TLS configuration and adds the
// credentials. What the package adds is bounds: no program is run for the sake
// of a credential, no certificate is left unverified, an answer has a size, a
// redirect is not followed, a request is tried twice at most. Credentials are
// read anew for each request, so that rotating them needs no restart.
//
// It refuses to know what is asked for.
package kubeclient

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// Config says which API server to talk to, and as whom.
type Config struct {
	Kubeconfig string // file; empty: the service account of the pod that the agent runs in
	Context    string // of the kubeconfig; empty: its current one
}

// Client asks an API server. Its methods may be called by many at once.
type Client struct {
	cfg Config

	mu        sync.Mutex
	transport *http.Transport
	made      [sha256.Size]byte // what transport was made from
}

// New returns a client. It reads nothing yet and asks nobody.
func New(cfg Config) *Client { return &Client{cfg: cfg} }

// What an answer is asked to be like.
const (
	Object   = "application/json"                                             // the object as it is
	Metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" // its metadata alone
)

// Answer is the body of an answer 200.
type Answer struct {
	URL  string // of what was asked for
	Body []byte
}

// Get asks for the object at path ("/api/v1/namespaces/default"), which must be
// escaped as a URL's. accept is Object or Metadata. An answer of more than limit
// bytes is fault.ErrMalformed.
//
// Another answer than 200 is a [*StatusError]. Where there is no answer, or only
// a part of one, the error is fault.ErrUnavailable or ctx's; where the agent
// cannot know whom to ask or may not do what it takes, that of [Config.REST].
func (c *Client) Get(ctx context.Context, path, accept string, limit int) (Answer, error) {
	const tries = 2
	for try := 1; ; try++ {
		answer, err := c.get(ctx, path, accept, limit)
		if err == nil || try == tries || !again(ctx, err) {
			return answer, err
		}
	}
}

// patience is how long the API server may have a request wait: API servers that
// are busy say one second.
const patience = 5 * time.Second

// again reports whether the API server wants the request later, and waits till
// then, if there is time.
func again(ctx context.Context, err error) bool {
	status, ok := errors.AsType[*StatusError](err)
	if !ok || status.retryAfter < 0 || status.retryAfter > patience {
		return false
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= status.retryAfter {
		return false
	}
	timer := time.NewTimer(status.retryAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Client) get(ctx context.Context, path, accept string, limit int) (Answer, error) {
	resp, server, err := c.ask(ctx, path, nil, accept)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()                         //nolint:errcheck // it was read to its end, or the error is the read's
	body, err := outbound.ReadAll(resp.Body, limit) // the object may be a Secret
	if err != nil {
		return Answer{}, c.unanswered(ctx, server, err)
	}
	if len(body) > limit {
		clear(body)
		return Answer{}, fmt.Errorf("API server %s: the answer has more than %d bytes: %w", server, limit, fault.ErrMalformed)
	}
	return Answer{URL: resp.Request.URL.String(), Body: body}, nil
}

// ask makes one request, and returns an answer 200 to be read and closed.
func (c *Client) ask(ctx context.Context, path string, query url.Values, accept string) (resp *http.Response, server string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	cfg, err := c.cfg.REST()
	if err != nil {
		return nil, "", err
	}
	base, err := url.Parse(cfg.Host)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", c.cfg.where(), errNoURL)
	}
	client, err := c.client(cfg, base)
	if err != nil {
		return nil, "", err
	}
	place := base.JoinPath(path)
	place.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place.String(), nil)
	if err != nil {
		return nil, "", fmt.Errorf("API server %s: %s is no path: %w", base.Host, path, fault.ErrMalformed)
	}
	req.Header.Set("Accept", accept)
	resp, err = client.Do(req)
	if err != nil {
		return nil, "", c.unanswered(ctx, base.Host, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close() //nolint:errcheck // nothing more is wanted of it
		return nil, "", c.refused(base.Host, resp)
	}
	return resp, base.Host, nil
}

// client returns an HTTP client with the credentials of cfg. The connections are
// those of earlier requests, as long as what they depend on has not changed.
func (c *Client) client(cfg *rest.Config, base *url.URL) (*http.Client, error) {
	// From here on, all is in memory: what is compared is what is used.
	cfg = rest.CopyConfig(cfg)
	if err := rest.LoadTLSFiles(cfg); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", c.cfg.where(), err, fault.ErrUnavailable)
	}
	cfg.CAFile, cfg.CertFile, cfg.KeyFile, cfg.BearerTokenFile = "", "", "", ""
	transport, err := c.connections(cfg, base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", c.cfg.where(), err, fault.ErrUnavailable)
	}
	authenticated, err := rest.HTTPWrappersForConfig(cfg, transport)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", c.cfg.where(), err, fault.ErrUnavailable)
	}
	return &http.Client{
		Transport: authenticated,
		// The credentials would go along, wherever it leads.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func (c *Client) connections(cfg *rest.Config, base *url.URL) (*http.Transport, error) {
	proxy, err := cfg.Proxy(&http.Request{URL: base})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []any{base.Host, cfg.ServerName, proxy, cfg.CAData, cfg.CertData, cfg.KeyData}))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil && c.made == sum {
		return c.transport, nil
	}
	// The address is the administrator's, and not of whoever starts a container.
	t, err := outbound.Transport(outbound.Config{AllowLinkLocal: true})
	if err != nil {
		return nil, err
	}
	tls, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, err
	}
	if tls != nil {
		t.TLSClientConfig = tls
	}
	t.Proxy = http.ProxyURL(proxy)
	// One connection for each request under way: one that hangs is given up
	// with its request, and not handed to the next one.
	t.ForceAttemptHTTP2 = false
	// What the API server compresses, it compresses for those who ask; then
	// the limit is one of what was sent.
	t.DisableCompression = true
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
	c.transport, c.made = t, sum
	return t, nil
}
