package credspec

import (
	"context"
	"errors"
)

// ErrUnchanged answers [Revalidator.Revalidate] where the document is still the
// one that the caller has.
var ErrUnchanged = errors.New("the document is unchanged")

// Admitter is a source that may be configured to refuse references, whatever
// they name: to hosts that are not listed, say.
//
// Admit says whether it does, without asking anybody; its errors are Resolve's.
// A cache in front of the source asks it before it answers by itself: what it
// holds was perhaps fetched under another configuration.
type Admitter interface {
	Source
	Admit(ref Ref) error
}

// Revalidator is a source that can tell at little cost whether a document is
// still the one that it returned before.
//
// Its Resolve sets [Document.Tag]. Revalidate is Resolve for a caller who has
// the document with that tag, which is not empty: it answers ErrUnchanged if
// the source has the same one, and otherwise as Resolve does. A tag that the
// source does not recognise is one of another document.
type Revalidator interface {
	Source
	Revalidate(ctx context.Context, ref Ref, tag string) (Document, error)
}

type revalidated struct{}

// Revalidated returns a context in which a document is used only if its source
// says so now, however fresh a cache takes it to be. A source that is down is
// another matter.
func Revalidated(ctx context.Context) context.Context {
	return context.WithValue(ctx, revalidated{}, true)
}

// MustRevalidate says whether ctx is a [Revalidated] one.
func MustRevalidate(ctx context.Context) bool { return ctx.Value(revalidated{}) != nil }
