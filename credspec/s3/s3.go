// Package s3 resolves s3:// references and ARNs of S3: objects.
package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
)

// Scheme is the scheme of its references.
const Scheme = "s3"

// Config says as whom to talk to AWS, and where it is.
type Config = awsclient.Config

// Source implements credspec.Source.
type Source struct{ cfg Config }

// New returns the source. It asks nobody yet. It fails with
// fault.ErrMalformed where the configuration is wrong.
func New(cfg Config) (*Source, error) { return &Source{cfg}, nil }

// Resolve implements credspec.Source.
func (s *Source) Resolve(context.Context, credspec.Ref) (credspec.Document, error) {
	return credspec.Document{}, fmt.Errorf("s3: %w", errors.ErrUnsupported)
}
