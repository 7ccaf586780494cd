// Package https resolves https:// references (and http:// ones to this host): documents behind a URL.
package https

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// Scheme is the scheme of its references.
const Scheme = "https"

// Config says how to connect. Its zero value trusts the system's certificates
// and sends no credentials.
type Config struct {
	outbound.Config

	Hosts map[string]Host // by host, or host:port where it is not 443; lower case
}

// Host is what is particular to one server.
type Host struct {
	CAFile    string // instead of Config.CAFile
	TokenFile string // holds the bearer token that this host, and no other, is sent
}

// Source implements credspec.Source.
type Source struct{ cfg Config }

// New returns the source. It asks nobody yet. It fails with
// fault.ErrMalformed where the configuration is wrong.
func New(cfg Config) (*Source, error) { return &Source{cfg}, nil }

// Resolve implements credspec.Source.
func (s *Source) Resolve(context.Context, credspec.Ref) (credspec.Document, error) {
	return credspec.Document{}, fmt.Errorf("https: %w", errors.ErrUnsupported)
}
