// Package kubernetes resolves kubernetes:// references: GMSACredentialSpec objects.
package kubernetes

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
)

// Scheme is the scheme of its references.
const Scheme = "kubernetes"

// Config says which API server to talk to, and as whom.
type Config = kubeclient.Config

// Source implements credspec.Source.
type Source struct{ cfg Config }

// New returns the source. It asks nobody yet. It fails with
// fault.ErrMalformed where the configuration is wrong.
func New(cfg Config) (*Source, error) { return &Source{cfg}, nil }

// Resolve implements credspec.Source.
func (s *Source) Resolve(context.Context, credspec.Ref) (credspec.Document, error) {
	return credspec.Document{}, fmt.Errorf("kubernetes: %w", errors.ErrUnsupported)
}
