package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// readLDAP reads a static role of the LDAP secrets engine, which rotates the
// password of an account that there is. The answer has the name of the account
// and, if the role has it, its distinguished name, whose DC parts are the domain.
//
// A dynamic role makes a new account for each who reads it, and is not read.
func readLDAP(ctx context.Context, s *Store, m mount, path, field string) (*secrets.Credential, error) {
	if role, ok := strings.CutPrefix(path, "static-cred/"); !ok || role == "" {
		return nil, fmt.Errorf("at %s is the LDAP engine, of which a reference names vault://%sstatic-cred/ROLE: %w", m.path, m.path, fault.ErrMalformed)
	}
	if err := noField(field); err != nil {
		return nil, err
	}
	a, err := s.get(ctx, m.path+path)
	if code(err) == http.StatusBadRequest {
		// "unknown role", and nothing else is answered so.
		return nil, fmt.Errorf("%v: %w", err, fault.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	e, err := a.open()
	if err != nil {
		return nil, s.at(err)
	}
	defer clear(e.Data)
	var role struct {
		Username, DN string
		Password     json.RawMessage
		TTL          float64 // seconds
		Rotated      string  `json:"last_vault_rotation"`
	}
	err = json.Unmarshal(e.Data, &role)
	defer clear(role.Password)
	if err != nil {
		return nil, s.at(errForeign)
	}
	cred, err := account(role.Username, role.DN, role.Password)
	if err != nil {
		return nil, err
	}
	cred.Version = cut(role.Rotated)
	// Vault rotates when the time is over, and not when somebody asks.
	cred.Expires = a.at.Add(seconds(role.TTL))
	return cred, nil
}

// readAD reads the credentials of a role of the Active Directory secrets engine.
// They are rotated when somebody asks for them after their time. The answer has
// the account's name without its domain, which the role has.
func readAD(ctx context.Context, s *Store, m mount, path, field string) (*secrets.Credential, error) {
	role, ok := strings.CutPrefix(path, "creds/")
	if !ok || role == "" {
		return nil, fmt.Errorf("at %s is the AD engine, of which a reference names vault://%screds/ROLE: %w", m.path, m.path, fault.ErrMalformed)
	}
	if err := noField(field); err != nil {
		return nil, err
	}
	before, err := s.roleAD(ctx, m, role)
	if err != nil {
		return nil, err
	}
	// The answer does not say when its password was made: the role does, and
	// may have been rotated between two requests, by this one if nobody else.
	const tries = 3
	for range tries {
		cred, err := s.credsAD(ctx, m, path, before)
		if err != nil {
			return nil, err
		}
		after, err := s.roleAD(ctx, m, role)
		if err != nil {
			cred.Wipe()
			return nil, err
		}
		if after.Rotated == before.Rotated {
			cred.Version = cut(after.Rotated)
			if rotated, err := time.Parse(time.RFC3339Nano, after.Rotated); err == nil && after.TTL > 0 {
				cred.Expires = after.answer.local(rotated.Add(seconds(after.TTL)))
			}
			return cred, nil
		}
		cred.Wipe()
		before = after
	}
	return nil, s.at(fmt.Errorf("the password was rotated each time that it was read: %w", fault.ErrUnavailable))
}

// roleAD is what the Active Directory secrets engine says of a role.
type roleAD struct {
	Account string  `json:"service_account_name"` // user principal name
	Rotated string  `json:"last_vault_rotation"`
	TTL     float64 `json:"ttl"` // seconds
	answer  *answer
}

func (s *Store) roleAD(ctx context.Context, m mount, name string) (r roleAD, err error) {
	r.answer, err = s.get(ctx, m.path+"roles/"+name)
	if code(err) == http.StatusForbidden {
		return r, fmt.Errorf("the role, which says the domain, at %sroles/%s: %w", m.path, name, err)
	}
	if err != nil {
		return r, err
	}
	if err := r.answer.decode(&r); err != nil {
		return r, s.at(err)
	}
	return r, nil
}

func (s *Store) credsAD(ctx context.Context, m mount, path string, role roleAD) (*secrets.Credential, error) {
	a, err := s.get(ctx, m.path+path)
	if err != nil {
		return nil, err
	}
	e, err := a.open()
	if err != nil {
		return nil, s.at(err)
	}
	defer clear(e.Data)
	var creds struct {
		Password json.RawMessage `json:"current_password"`
	}
	err = json.Unmarshal(e.Data, &creds)
	defer clear(creds.Password)
	if err != nil {
		return nil, s.at(errForeign)
	}
	return account(role.Account, "", creds.Password)
}

// account makes the credential of a user whose password is a JSON text. The
// domain is that of the distinguished name, or else of the user's own name: it
// decides which credential specs the password serves, so it comes from nowhere
// but the engine.
func account(user, dn string, password json.RawMessage) (*secrets.Credential, error) {
	domain, err := domainOf(dn)
	if err != nil {
		return nil, err
	}
	parts := map[string]string{"username": user}
	switch {
	case domain != "":
		parts["domainName"] = domain
	case !strings.ContainsAny(user, `@\`):
		return nil, fmt.Errorf("the role does not say of which domain %.64q is; give it a dn (CN=…,DC=contoso,DC=com) or a username of the form user@contoso.com: %w", user, fault.ErrMalformed)
	}
	content, err := json.Marshal(parts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, fault.ErrMalformed)
	}
	if len(password) == 0 {
		password = json.RawMessage(`""`)
	}
	const key = `,"password":`
	whole := make([]byte, 0, len(content)+len(key)+len(password)) // never grows: no copy is left behind
	defer func() { clear(whole[:cap(whole)]) }()
	whole = append(whole, content[:len(content)-1]...)
	whole = append(whole, key...)
	whole = append(whole, password...)
	whole = append(whole, '}')
	return secrets.ParseJSON(whole)
}

// domainOf is the DNS name that the DC parts of a distinguished name make; empty
// if there are none.
func domainOf(dn string) (string, error) {
	if len(dn) > maxDN {
		return "", fmt.Errorf("the role's dn is longer than %d bytes: %w", maxDN, fault.ErrMalformed)
	}
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return "", fmt.Errorf("the role's dn is not a distinguished name: %w", fault.ErrMalformed)
	}
	var labels []string
	for _, rdn := range parsed.RDNs {
		for _, a := range rdn.Attributes {
			if strings.EqualFold(a.Type, "DC") {
				labels = append(labels, a.Value)
			}
		}
	}
	return strings.Join(labels, "."), nil
}

// maxDN bounds a distinguished name, in bytes: Active Directory's limit on
// characters is 255 for each part.
const maxDN = 8 << 10

func noField(field string) error {
	if field == "" {
		return nil
	}
	return fmt.Errorf("the parameter field is for key-value engines: %w", fault.ErrMalformed)
}

// seconds is a time that Vault says, within bounds.
func seconds(s float64) time.Duration {
	return time.Duration(max(0, min(s, maxLease)) * float64(time.Second))
}

// cut bounds what of an answer becomes a version.
func cut(s string) string { return s[:min(len(s), 64)] }
