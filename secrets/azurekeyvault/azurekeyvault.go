// Package azurekeyvault fetches azurekeyvault:// secrets: those of Azure Key Vault.
package azurekeyvault

import (
	"context"
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "azurekeyvault"

// Config says which vaults may be asked, and as whom.
type Config struct {
	Vaults          []string // hosts that a reference may name; lower case
	Identity        string   // for references that name none: "system", "client_id", "object_id", "workload", "certificate"
	ID              string   // of the identity, but for "system"
	TenantID        string   // of "workload" and "certificate"
	CertificateFile string   // of "certificate"
	TokenFile       string   // of "workload"; empty: AZURE_FEDERATED_TOKEN_FILE
}

// Store implements secrets.Store.
type Store struct{ cfg Config }

// New returns the store. It asks nobody yet. It fails with fault.ErrMalformed
// where the configuration is wrong.
func New(cfg Config) (*Store, error) { return &Store{cfg}, nil }

// Fetch implements secrets.Store.
func (s *Store) Fetch(_ context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: fmt.Errorf("azurekeyvault: %w", errors.ErrUnsupported)}
}
