// Package vault fetches vault:// secrets: those of HashiCorp Vault and OpenBao.
package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "vault"

// Config says where Vault is, as whom it is asked, and for what.
type Config struct {
	Address   string // URL
	Namespace string
	CAFile    string            // PEM certificates that sign Vault's; empty: the system's
	Allowed   func(string) bool // whether a reference may name this MOUNT/PATH; nil: whatever Vault allows
	Auth      Auth
}

// Auth says how to log in.
type Auth struct {
	Method       string // "token", "approle", "jwt", "kubernetes", "cert"
	Mount        string // empty: the method's name
	Role         string // of "jwt", "kubernetes" and "cert"
	TokenFile    string // of "token", "jwt" and "kubernetes"
	RoleIDFile   string // of "approle"
	SecretIDFile string // of "approle"
	CertFile     string // of "cert"
	KeyFile      string // of "cert"
}

// Store implements secrets.Store.
type Store struct{ cfg Config }

// New returns the store. It asks nobody yet. It fails with fault.ErrMalformed
// where the configuration is wrong.
func New(cfg Config) (*Store, error) { return &Store{cfg}, nil }

// Fetch implements secrets.Store.
func (s *Store) Fetch(_ context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: fmt.Errorf("vault: %w", errors.ErrUnsupported)}
}
