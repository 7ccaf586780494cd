// Package oci resolves oci:// references: credential specs kept as artifacts in an OCI registry.
package oci

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// Scheme is the scheme of its references.
const Scheme = "oci"

// Config says how to connect to registries.
type Config struct {
	AuthFile   string              // a config.json as docker login writes it; its "auths" are used, its helpers are not
	Registries map[string]Registry // by host, or host:port; lower case
}

// Registry is what is particular to one registry.
type Registry struct {
	CAFile       string // PEM certificates that sign its; empty: the system's
	Username     string // empty: as Config.AuthFile has it, else anonymous
	PasswordFile string
	PlainHTTP    bool // without TLS; for a registry on this host only
}

// Source implements credspec.Source.
type Source struct{ cfg Config }

// New returns the source. It asks nobody yet. It fails with
// fault.ErrMalformed where the configuration is wrong.
func New(cfg Config) (*Source, error) { return &Source{cfg}, nil }

// Resolve implements credspec.Source.
func (s *Source) Resolve(context.Context, credspec.Ref) (credspec.Document, error) {
	return credspec.Document{}, fmt.Errorf("oci: %w", errors.ErrUnsupported)
}
