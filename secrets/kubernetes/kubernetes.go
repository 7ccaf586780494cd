// Package kubernetes fetches kubernetes:// secrets: Kubernetes Secrets.
package kubernetes

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "kubernetes"

// Config says which API server to ask, as whom, and for what.
type Config struct {
	kubeclient.Config

	Namespaces []string // that a reference may name
}

// Store implements secrets.Store.
type Store struct{ cfg Config }

// New returns the store. It asks nobody yet. It fails with fault.ErrMalformed
// where the configuration is wrong.
func New(cfg Config) (*Store, error) { return &Store{cfg}, nil }

// Fetch implements secrets.Store.
func (s *Store) Fetch(_ context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: fmt.Errorf("kubernetes: %w", errors.ErrUnsupported)}
}
