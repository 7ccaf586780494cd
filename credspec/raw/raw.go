// Package raw resolves references that are the credential spec themselves
// (raw://{…}). It knows nothing of where such a reference came from, or of
// whether its author may write one: that is the agent's policy.
package raw

import (
	"context"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// Scheme is the scheme of these references.
const Scheme = "raw"

// Source answers with what the reference holds. It cannot fail.
type Source struct{}

// Resolve returns the document in ref.
func (Source) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	if err := ctx.Err(); err != nil {
		return credspec.Document{}, err
	}
	return credspec.Document{Data: []byte(ref.Rest), Ref: ref, Origin: "the reference itself"}, nil
}
