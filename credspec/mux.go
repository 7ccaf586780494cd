package credspec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Mux is the source of all schemes: it asks the one that the reference's scheme
// belongs to, and answers for those that nobody has.
type Mux struct {
	sources map[string]Source
}

// NewMux returns a Mux over sources by scheme (lower case).
func NewMux(sources map[string]Source) *Mux {
	return &Mux{sources: maps.Clone(sources)}
}

// Schemes lists, sorted, the schemes that have a source.
func (m *Mux) Schemes() []string { return slices.Sorted(maps.Keys(m.sources)) }

// Resolve returns the document that ref names, with its digest.
//
// Its errors are those of a [Source], as a [*ResolveError]. A document that is
// empty or longer than MaxSize is fault.ErrMalformed; one that is not what the
// reference's pin says is fault.ErrDenied. A scheme that has a meaning and no
// source here is errors.ErrUnsupported, any other is fault.ErrMalformed.
func (m *Mux) Resolve(ctx context.Context, ref Ref) (Document, error) {
	doc, err := m.resolve(ctx, ref)
	if err != nil {
		return Document{}, &ResolveError{Ref: ref, Err: err}
	}
	return doc, nil
}

func (m *Mux) resolve(ctx context.Context, ref Ref) (Document, error) {
	source := m.sources[ref.Scheme]
	if source == nil {
		return Document{}, m.noSource(ref.Scheme)
	}
	doc, err := source.Resolve(ctx, ref)
	if err != nil {
		return Document{}, err
	}
	switch {
	case len(doc.Data) == 0:
		return Document{}, fmt.Errorf("%s is empty: %w", doc.Origin, fault.ErrMalformed)
	case len(doc.Data) > MaxSize:
		return Document{}, fmt.Errorf("%s is longer than %d bytes: %w", doc.Origin, MaxSize, fault.ErrMalformed)
	}
	doc.Ref, doc.Digest = ref, Digest(doc.Data)
	if ref.SHA256 != "" && ref.SHA256 != doc.Digest {
		return Document{}, fmt.Errorf("%s has sha256 %s, not the one that the reference is pinned to: %w", doc.Origin, doc.Digest, fault.ErrDenied)
	}
	return doc, nil
}

func (m *Mux) noSource(name string) error {
	if _, known := schemes[name]; known {
		return fmt.Errorf("this build has no source for %s:// (it has %s): %w", name, m.list(), errors.ErrUnsupported)
	}
	return fmt.Errorf("%q is not a scheme of credential specs (this build has %s): %w", name, m.list(), fault.ErrMalformed)
}

func (m *Mux) list() string {
	if len(m.sources) == 0 {
		return "none"
	}
	return strings.Join(m.Schemes(), ", ")
}

// ResolveError says which reference could not be resolved.
type ResolveError struct {
	Ref Ref
	Err error
}

func (e *ResolveError) Error() string {
	return "resolve credential spec " + e.Ref.String() + ": " + e.Err.Error()
}

func (e *ResolveError) Unwrap() error { return e.Err }
