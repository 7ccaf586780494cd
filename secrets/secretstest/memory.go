package secretstest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Memory is a store for tests, of references of any scheme. It is a
// secrets.Store, Lister and Verifier, and usable by many goroutines at once.
type Memory struct {
	// OnFetch, if set, is called in each Fetch before the store is looked at.
	// It may wait, and fail the fetch with its error.
	OnFetch func(ctx context.Context, ref secrets.Ref) error

	mu      sync.Mutex
	serial  int
	fetches int
	secrets map[string]memorySecret
}

type memorySecret struct {
	ref      secrets.Ref
	cred     *secrets.Credential
	damaged  bool
	modified time.Time
}

var (
	_ secrets.Store    = (*Memory)(nil)
	_ secrets.Lister   = (*Memory)(nil)
	_ secrets.Verifier = (*Memory)(nil)
)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{secrets: map[string]memorySecret{}} }

// Put stores a copy of c.
func (m *Memory) Put(ref secrets.Ref, c *secrets.Credential) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serial++
	c = c.Clone()
	c.Version = strconv.Itoa(m.serial)
	m.secrets[ref.String()] = memorySecret{ref: ref, cred: c, modified: time.Now()}
}

// Remove removes what ref names.
func (m *Memory) Remove(ref secrets.Ref) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.secrets, ref.String())
}

// Damage makes what ref names unreadable.
func (m *Memory) Damage(ref secrets.Ref) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.secrets[ref.String()]
	s.damaged = true
	m.secrets[ref.String()] = s
}

// Fetches is how often Fetch was called.
func (m *Memory) Fetches() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fetches
}

// Fetch returns a copy of what was put.
func (m *Memory) Fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	m.mu.Lock()
	m.fetches++
	m.mu.Unlock()
	c, err := m.fetch(ctx, ref)
	if err != nil {
		return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: err}
	}
	return c, nil
}

func (m *Memory) fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", fault.ErrUnavailable, context.Cause(ctx))
	}
	if m.OnFetch != nil {
		if err := m.OnFetch(ctx, ref); err != nil {
			return nil, err
		}
	}
	if r, err := secrets.ParseRef(ref.String()); err != nil || !r.Equal(ref) {
		return nil, fmt.Errorf("%w: not a canonical reference", fault.ErrMalformed)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.secrets[ref.String()]
	switch {
	case !ok:
		return nil, fault.ErrNotFound
	case s.damaged:
		return nil, fmt.Errorf("%w: damaged", fault.ErrMalformed)
	}
	if err := s.cred.Validate(); err != nil {
		return nil, err
	}
	return s.cred.Clone(), nil
}

// List lists what was put.
func (m *Memory) List(context.Context) ([]secrets.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var entries []secrets.Entry
	for _, s := range m.secrets {
		e := secrets.Entry{Ref: s.ref, Domain: s.cred.Domain, User: s.cred.User, Version: s.cred.Version, Modified: s.modified}
		if s.damaged {
			e.Domain, e.User = "", ""
			e.Err = &secrets.Error{Op: "list", Ref: s.ref, Err: fmt.Errorf("%w: damaged", fault.ErrMalformed)}
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b secrets.Entry) int { return cmp.Compare(a.Ref.String(), b.Ref.String()) })
	return entries, nil
}

// Current compares versions.
func (m *Memory) Current(_ context.Context, ref secrets.Ref, version string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.secrets[ref.String()]
	return ok && !s.damaged && s.cred.Version == version
}

// Named is what a test calls the secret name: local://name.
func Named(name string) secrets.Ref { return secrets.Ref{Scheme: "local", Rest: strings.ToLower(name)} }
