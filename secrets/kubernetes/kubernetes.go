// Package kubernetes fetches kubernetes:// secrets: Kubernetes Secrets.
//
// A container can name a Secret. It gets none but those of the namespaces that
// the configuration lists. Secrets are asked for by name, one at a time, and
// never listed; while one is in use the store watches it, so that its new
// version is used at once.
//
// Which API server, and as whom, is internal/kubeclient's to know.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "kubernetes"

// maxObject bounds what is read of an API server's answer, in bytes: no request
// that stores an object may have more (k8s.io/apiserver, MaxRequestBodyBytes).
const maxObject = 3 << 20

// Config says which API server to ask, as whom, and for what.
type Config struct {
	kubeclient.Config

	Namespaces []string // that a reference may name
}

// Store implements secrets.Store and secrets.Verifier. It is safe for use by
// many goroutines. Whoever is done with it calls Close.
type Store struct {
	client     *kubeclient.Client
	namespaces []string
	watches    *watches
}

var _ secrets.Verifier = (*Store)(nil)

// New returns the store. It asks nobody yet, and cannot fail: what is wrong with
// a kubeconfig is found when it is read, which is for each request.
func New(cfg Config) (*Store, error) {
	c := kubeclient.New(cfg.Config)
	return &Store{client: c, namespaces: slices.Clone(cfg.Namespaces), watches: newWatches(c)}, nil
}

// Fetch implements secrets.Store. The version is the Secret's UID and resource
// version.
//
// It fails with fault.ErrDenied, before anything is sent, for a namespace that
// the configuration does not list.
func (s *Store) Fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	cred, err := s.fetch(ctx, ref)
	if err != nil {
		return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: err}
	}
	return cred, nil
}

func (s *Store) fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	if ctx.Err() != nil {
		return nil, unavailable(context.Cause(ctx))
	}
	if r, err := secrets.ParseRef(ref.String()); err != nil || r.Scheme != Scheme || !r.Equal(ref) {
		return nil, fmt.Errorf("not a kubernetes:// reference in its canonical spelling: %w", fault.ErrMalformed)
	}
	n := nameOf(ref)
	switch {
	case len(s.namespaces) == 0:
		return nil, fmt.Errorf("no namespace is allowed (secrets.kubernetes.namespaces): %w", fault.ErrDenied)
	case !slices.Contains(s.namespaces, n.namespace):
		return nil, fmt.Errorf("the namespace is none of secrets.kubernetes.namespaces: %w", fault.ErrDenied)
	}
	answer, err := s.client.Get(ctx, n.path(), kubeclient.Object, maxObject)
	if err != nil {
		if errors.Is(err, fault.ErrNotFound) || errors.Is(err, fault.ErrDenied) {
			s.watches.end(n)
		}
		return nil, unavailable(err)
	}
	cred, version, err := parse(answer.Body, n)
	clear(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s %w", answer.URL, err)
	}
	s.watches.fetched(n, version)
	return cred, nil
}

// Current implements secrets.Verifier. It asks nobody: it compares with what the
// watch of the Secret has told. While there is no watch, because the right to it
// is missing or the API server is away, what was fetched last is taken for
// current, and only time can tell. A Secret that the store has not fetched, or
// not for an hour, is not current.
func (s *Store) Current(_ context.Context, ref secrets.Ref, version string) bool {
	return ref.Scheme == Scheme && s.watches.current(nameOf(ref), version)
}

// Close ends the watches. The store may still fetch, and watches no more.
func (s *Store) Close() error {
	s.watches.close()
	return nil
}

// name is a Secret's.
type name struct{ namespace, name string }

func nameOf(ref secrets.Ref) name {
	ns, n, _ := strings.Cut(ref.Rest, "/")
	return name{ns, n}
}

// collection is the path of the Secrets of the namespace. A namespace and a name
// have no character that a URL would take for something else.
func (n name) collection() string { return "/api/v1/namespaces/" + n.namespace + "/secrets" }

func (n name) path() string { return n.collection() + "/" + n.name }

// unavailable gives an error a kind that has none: that of a context.
func unavailable(err error) error {
	for _, kind := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed, errors.ErrUnsupported} {
		if errors.Is(err, kind) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
}

// forbidden says that err is the API server's refusal.
func forbidden(err error) bool {
	status, ok := errors.AsType[*kubeclient.StatusError](err)
	return ok && (status.Code == http.StatusForbidden || status.Code == http.StatusUnauthorized)
}
