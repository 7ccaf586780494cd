package azurekeyvault

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// target is the secret that a reference names, in a vault that is allowed.
type target struct {
	host    string
	cloud   cloud
	name    string
	version string // "" for the current one
}

// target reads a reference, and lets pass what the configuration lists.
func (s *Store) target(ref secrets.Ref) (target, error) {
	if canonical, err := secrets.ParseRef(ref.String()); err != nil || !canonical.Equal(ref) || ref.Scheme != Scheme {
		return target{}, fmt.Errorf("not a reference to a secret in a key vault: %w", fault.ErrMalformed)
	}
	parts := strings.Split(ref.Rest, "/") // HOST/secrets/NAME[/VERSION]
	t := target{host: parts[0], name: parts[2]}
	if len(parts) > 3 {
		t.version = parts[3]
	}
	c, listed := s.vaults[t.host]
	switch hint := ownName(t.host); {
	case listed:
		t.cloud = c
		return t, nil
	case hint != "":
		return target{}, fmt.Errorf("%s %s: %w", t.host, hint, fault.ErrDenied)
	}
	return target{}, fmt.Errorf("%s is not among secrets.azurekeyvault.vaults: %w", t.host, fault.ErrDenied)
}

// read makes a credential of what the vault answered. The SDK has the value as
// a string, which nobody can overwrite; it is used here only.
func (t target) read(s azsecrets.Secret) (*secrets.Credential, error) {
	version, ok := t.answers(s.ID)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s answers with something else than this secret: %w", t.host, fault.ErrUnavailable)
	case s.Attributes != nil && s.Attributes.Enabled != nil && !*s.Attributes.Enabled:
		return nil, fmt.Errorf("the secret is disabled: %w", fault.ErrDenied)
	case s.Value == nil:
		return nil, fmt.Errorf("%s answers without the secret's value: %w", t.host, fault.ErrUnavailable)
	}
	content := []byte(*s.Value)
	defer clear(content)
	cred, err := secrets.ParseContent(content)
	if err != nil {
		return nil, err
	}
	cred.Version = version
	return cred, nil
}

// answers says which version of the secret an id is,
// https://HOST/secrets/NAME/VERSION, and whether it is the one that was asked
// for.
func (t target) answers(id *azsecrets.ID) (version string, ok bool) {
	if id == nil {
		return "", false
	}
	u, err := url.Parse(string(*id))
	if err != nil || u.Scheme != "https" || !strings.EqualFold(u.Host, t.host) {
		return "", false
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) != 4 || parts[1] != "secrets" || !strings.EqualFold(parts[2], t.name) {
		return "", false
	}
	version = strings.ToLower(parts[3])
	return version, isVersion(version) && (t.version == "" || t.version == version)
}

func isVersion(s string) bool { return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == "" }
