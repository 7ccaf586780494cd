package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// mount is an engine that secrets are read from.
type mount struct {
	path  string // with a slash at the end
	read  func(ctx context.Context, s *Store, m mount, path, field string) (*secrets.Credential, error)
	asked time.Time
}

const (
	// mountTime is for how long what is mounted somewhere is taken for known. A
	// path where nothing is found is asked about at once.
	mountTime = 10 * time.Minute
	// maxMounts bounds what is kept: mounts are Vault's, not the references'.
	maxMounts = 64
)

// engines are those that are read from, by the names of their types.
var engines = map[string]func(options map[string]string) (mount, error){
	"kv":       keyValue,
	"generic":  keyValue, // before Vault 0.8
	"ldap":     func(map[string]string) (mount, error) { return mount{read: readLDAP}, nil },
	"openldap": func(map[string]string) (mount, error) { return mount{read: readLDAP}, nil }, // before 1.12
	"ad":       func(map[string]string) (mount, error) { return mount{read: readAD}, nil },
}

func keyValue(options map[string]string) (mount, error) {
	switch v := options["version"]; v {
	case "", "1":
		return mount{read: readKV1}, nil
	case "2":
		return mount{read: readKV2}, nil
	default:
		return mount{}, fmt.Errorf("is a key-value engine of version %.10q, and only 1 and 2 are known: %w", v, errors.ErrUnsupported)
	}
}

// mounted is the engine that has a path, which begins with the engine's own.
func (s *Store) mounted(ctx context.Context, path string) (m mount, known bool, err error) {
	if m, known = s.mountOf(path); known {
		return m, true, nil
	}
	if strings.HasPrefix(path, "auth/") { // Vault would speak of an auth method
		return mount{}, false, fmt.Errorf("at auth/ are auth methods, and secrets are only read from kv, ldap and ad: %w", fault.ErrMalformed)
	}
	// What HashiCorp's own command line asks: it needs no policy beside the one
	// for the secret, and tells nothing of what the token has no access to.
	a, err := s.get(ctx, "sys/internal/ui/mounts/"+path)
	if err != nil {
		return mount{}, false, err
	}
	var is struct {
		Path, Type string
		Options    map[string]string
	}
	if err := a.decode(&is); err != nil {
		return mount{}, false, s.at(err)
	}
	if !strings.HasSuffix(is.Path, "/") || !strings.HasPrefix(path, is.Path) || len(path) == len(is.Path) {
		return mount{}, false, s.at(errForeign)
	}
	of, ok := engines[is.Type]
	if !ok {
		return mount{}, false, fmt.Errorf("at %s is an engine of type %.40q, and secrets are only read from kv, ldap and ad: %w", is.Path, is.Type, fault.ErrMalformed)
	}
	if m, err = of(is.Options); err != nil {
		return mount{}, false, fmt.Errorf("at %s %w", is.Path, err)
	}
	m.path, m.asked = is.Path, time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mounts) >= maxMounts {
		clear(s.mounts)
	}
	s.mounts[m.path] = m
	return m, false, nil
}

// mountOf is what is known. No mount's path is the beginning of another's.
func (s *Store) mountOf(path string) (mount, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.mounts {
		if strings.HasPrefix(path, m.path) && time.Since(m.asked) < mountTime {
			return m, true
		}
	}
	return mount{}, false
}

func (s *Store) forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := range s.mounts {
		if strings.HasPrefix(path, at) {
			delete(s.mounts, at)
		}
	}
}
