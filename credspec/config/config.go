// Package config answers for references to Docker swarm configs (config://ID).
//
// Only dockerd can read those: a swarm manager sends a config to the node's
// dockerd for one task, and dockerd shows it to nobody, not even through its
// API on a worker node. Where dockerd has read one, what reaches the agent is
// the document and not the reference. So there is nothing to resolve here, and
// this package exists to say so.
package config

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// Scheme is the scheme of these references.
const Scheme = "config"

// Source refuses every reference.
type Source struct{}

// Resolve returns an error that wraps errors.ErrUnsupported.
func (Source) Resolve(context.Context, credspec.Ref) (credspec.Document, error) {
	return credspec.Document{}, fmt.Errorf("a Docker swarm config can be read by dockerd only; give the document as file:// or raw://: %w", errors.ErrUnsupported)
}
