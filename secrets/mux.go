package secrets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Mux is a Store that hands each reference to the store of its scheme. It is a
// [Lister] and a [Verifier] of those among them that are.
type Mux struct{ stores map[string]Store }

// NewMux returns a Mux of the stores, by scheme.
func NewMux(stores map[string]Store) *Mux { return &Mux{maps.Clone(stores)} }

// Schemes returns the schemes that have a store, sorted.
func (m *Mux) Schemes() []string { return slices.Sorted(maps.Keys(m.stores)) }

// Fetch asks the scheme's store. A scheme that [ParseRef] knows but that has
// no store here is errors.ErrUnsupported.
func (m *Mux) Fetch(ctx context.Context, ref Ref) (*Credential, error) {
	if s, ok := m.stores[ref.Scheme]; ok {
		return s.Fetch(ctx, ref)
	}
	if _, known := schemes[ref.Scheme]; known {
		return nil, &Error{"fetch", ref, fmt.Errorf("%w: this version has no store for %s://", errors.ErrUnsupported, ref.Scheme)}
	}
	return nil, &Error{"fetch", ref, malformed("unknown scheme")}
}

// List lists the stores that can be listed; the others are left out.
func (m *Mux) List(ctx context.Context) ([]Entry, error) {
	var all []Entry
	var errs []error
	for _, name := range m.Schemes() {
		l, ok := m.stores[name].(Lister)
		if !ok {
			continue
		}
		entries, err := l.List(ctx)
		all = append(all, entries...)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Current asks the scheme's store, and answers true for a store that cannot
// tell.
func (m *Mux) Current(ctx context.Context, ref Ref, version string) bool {
	if v, ok := m.stores[ref.Scheme].(Verifier); ok {
		return v.Current(ctx, ref, version)
	}
	return true
}
