package azurekeyvault

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// The kinds of identities, as Config.Identity and references name them.
const (
	bySystem      = "system"
	byClientID    = "client_id"
	byObjectID    = "object_id"
	byWorkload    = "workload"
	byCertificate = "certificate"
)

// What AKS's webhook sets for workload identities, and all that we take from
// the environment:
// https://azure.github.io/azure-workload-identity/docs/quick-start.html
const (
	envClientID  = "AZURE_CLIENT_ID"
	envTenantID  = "AZURE_TENANT_ID"
	envTokenFile = "AZURE_FEDERATED_TOKEN_FILE"
)

// identity is who asks. It is comparable.
type identity struct {
	kind   string
	id     string // "" of bySystem
	tenant string // of byWorkload and byCertificate
	file   string // of byWorkload and byCertificate
}

func (i identity) String() string {
	switch i.kind {
	case byClientID:
		return "the managed identity with client id " + i.id
	case byObjectID:
		return "the managed identity with object id " + i.id
	case byWorkload:
		return "the workload identity " + i.id + " of tenant " + i.tenant
	case byCertificate:
		return "the application " + i.id + " of tenant " + i.tenant
	}
	return "the host's managed identity"
}

func (i identity) isManaged() bool { return i.tenant == "" }

// identity is the one that a reference names, or else the configured one. It
// fails with fault.ErrUnavailable where the environment lacks what it should
// name.
func (s *Store) identity(ref secrets.Ref) (identity, error) {
	kind, id := s.cfg.Identity, s.cfg.ID
	configured := true
	for _, k := range []string{byObjectID, byClientID, byWorkload} {
		if ref.Query.Has(k) {
			// The configured id is a workload's only if it was configured as
			// one: it may be a managed identity's.
			configured = k == byWorkload && kind == byWorkload
			kind = k
			if k != byWorkload {
				id = ref.Query.Get(k)
			}
		}
	}
	switch kind {
	case byObjectID, byClientID:
		return identity{kind: kind, id: strings.ToLower(id)}, nil
	case byCertificate:
		return identity{kind: kind, id: strings.ToLower(id), tenant: strings.ToLower(s.cfg.TenantID), file: s.cfg.CertificateFile}, nil
	case byWorkload:
		if !configured {
			id = ""
		}
		return s.workload(id)
	}
	return identity{kind: bySystem}, nil
}

// workload fills up from the environment what is not configured.
func (s *Store) workload(id string) (identity, error) {
	i := identity{kind: byWorkload, id: id, tenant: s.cfg.TenantID, file: s.cfg.TokenFile}
	var missing []string
	for _, f := range []struct {
		to  *string
		env string
		key string
	}{{&i.id, envClientID, "id"}, {&i.tenant, envTenantID, "tenant_id"}, {&i.file, envTokenFile, "token_file"}} {
		if *f.to == "" {
			*f.to = os.Getenv(f.env)
		}
		if *f.to == "" {
			missing = append(missing, fmt.Sprintf("%s (or secrets.azurekeyvault.%s)", f.env, f.key))
		}
	}
	if missing != nil {
		return identity{}, fmt.Errorf("there is no workload identity: %s is not set: %w", strings.Join(missing, ", "), fault.ErrUnavailable)
	}
	i.id, i.tenant = strings.ToLower(i.id), strings.ToLower(i.tenant)
	if !guid.MatchString(i.id) || !guid.MatchString(i.tenant) {
		return identity{}, fmt.Errorf("%s or %s is not a GUID: %w", envClientID, envTenantID, fault.ErrUnavailable)
	}
	return i, nil
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// check says what of the identity's settings can't be meant.
func (c Config) check() error {
	const at = "secrets.azurekeyvault."
	isGUID := func(s string) bool { return guid.MatchString(strings.ToLower(s)) }
	bad := func(key, format string, args ...any) error {
		return fmt.Errorf("%s%s %s: %w", at, key, fmt.Sprintf(format, args...), fault.ErrMalformed)
	}
	switch c.Identity {
	case "", bySystem, byWorkload:
	case byClientID, byObjectID, byCertificate:
		if c.ID == "" {
			return bad("id", "is missing: identity is %s", c.Identity)
		}
	default:
		return bad("identity", "is none of system, client_id, object_id, workload, certificate")
	}
	if c.Identity == byCertificate {
		switch {
		case c.TenantID == "":
			return bad("tenant_id", "is missing: identity is certificate")
		case c.CertificateFile == "":
			return bad("certificate_file", "is missing: identity is certificate")
		}
	}
	switch {
	case c.ID != "" && !isGUID(c.ID):
		return bad("id", "is not a GUID")
	case c.TenantID != "" && !isGUID(c.TenantID):
		return bad("tenant_id", "is not a GUID")
	}
	return nil
}
