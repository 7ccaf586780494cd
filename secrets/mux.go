package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Mux is a Store that hands each reference to the store of its scheme. It is a
// [Lister] and a [Verifier] of those among them that are.
type Mux struct{ stores map[string]Store }

// NewMux returns a Mux of the stores, by scheme.
func NewMux(stores map[string]Store) *Mux {
	m := &Mux{map[string]Store{}}
	maps.Copy(m.stores, stores)
	return m
}

// Schemes returns the schemes that have a store, sorted.
func (m *Mux) Schemes() []string { return slices.Sorted(maps.Keys(m.stores)) }

// Inherit returns a Mux of m's stores, in which those of old are in the place
// of m's for the schemes that are unchanged: what they hold open stays open. The
// stores that are not in it any more are in retired, which is to be closed.
func (m *Mux) Inherit(old *Mux, unchanged func(scheme string) bool) (merged, retired *Mux) {
	merged, retired = NewMux(m.stores), NewMux(nil)
	for scheme, s := range old.stores {
		if own, ok := m.stores[scheme]; ok && unchanged(scheme) {
			merged.stores[scheme], s = s, own
		}
		retired.stores[scheme] = s
	}
	return merged, retired
}

// Close closes the stores that hold something open.
func (m *Mux) Close() error {
	var errs []error
	for _, scheme := range m.Schemes() {
		if s, ok := m.stores[scheme].(io.Closer); ok {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

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
