package credspec

import (
	"context"
	"errors"
)

// ErrUnchanged answers [Revalidator.Revalidate] where the document is still the
// one that the caller has.
var ErrUnchanged = errors.New("the document is unchanged")

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
