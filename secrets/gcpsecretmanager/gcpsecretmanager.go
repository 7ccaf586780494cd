// Package gcpsecretmanager fetches gcpsecretmanager:// secrets: those of Google Secret Manager.
package gcpsecretmanager

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "gcpsecretmanager"

// Config says which projects may be asked, and as whom.
type Config struct {
	Projects        []string // that a reference may name
	Credentials     string   // "metadata", "workload_identity", "key_file"
	CredentialsFile string   // of "workload_identity" and "key_file"
	Endpoint        string   // host:port; empty: Google's own
	CAFile          string   // PEM certificates that sign the endpoint's; empty: the system's
}

// Store implements secrets.Store.
type Store struct{ cfg Config }

// New returns the store. It asks nobody yet. It fails with fault.ErrMalformed
// where the configuration is wrong.
func New(cfg Config) (*Store, error) { return &Store{cfg}, nil }

// Fetch implements secrets.Store.
func (s *Store) Fetch(_ context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: fmt.Errorf("gcpsecretmanager: %w", errors.ErrUnsupported)}
}
