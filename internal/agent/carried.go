package agent

import (
	"context"
	"errors"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/grant"
)

// Carrier tells what stands where a runtime reads a container's credential spec,
// and where that is. A container that it does not have is [fault.ErrNotFound].
type Carrier func(ctx context.Context, k hook.Key) (credentialSpec, place string, err error)

// Carried is the credential spec that a container carries, fit to be shown. The
// agent itself keeps only its digest.
type Carried struct {
	Place string `json:"place,omitempty"` // the file, or who has it
	// Document is the credential spec, with what its plugin is told struck out.
	Document string `json:"document,omitempty"`
	// Reference is there instead if the container carries one: it was not
	// admitted, or is not yet.
	Reference string `json:"reference,omitempty"`
	// Admitted says that the container carries what it was admitted with, byte for
	// byte.
	Admitted bool   `json:"admitted"`
	Error    string `json:"error,omitempty"` // why it is not known
}

// Carry has f asked for what containers of a runtime carry. Call it before the
// agent serves.
func (a *Agent) Carry(runtime string, f Carrier) { a.carriers[runtime] = f }

// inspect is Container, with what the containers carry.
func (a *Agent) inspect(ctx context.Context, id string) ([]Container, error) {
	found, err := a.Container(id)
	for i := range found {
		found[i].Carried = a.carried(ctx, found[i].Key)
	}
	return found, err
}

// carried asks the container's runtime. Nil: nobody can tell.
func (a *Agent) carried(ctx context.Context, k hook.Key) *Carried {
	f := a.carriers[k.Runtime]
	if f == nil {
		return nil
	}
	text, place, err := f(ctx, k)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return &Carried{Error: "the container is gone"}
	case err != nil:
		return &Carried{Error: err.Error()}
	}
	c := &Carried{Place: place}
	if g, _, live := a.grants.Of(k); live {
		c.Admitted = g.Document == grant.Sum(text)
	}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		document, err := credspec.Strike([]byte(text))
		if err != nil {
			c.Error = err.Error()
		}
		c.Document = string(document)
		return c
	}
	if text == "" {
		c.Error = "there is no credential spec"
		return c
	}
	ref, err := credspec.ParseRef(text)
	if err != nil {
		c.Error = "what stands there is neither a credential spec nor a reference"
		return c
	}
	c.Reference = ref.String()
	return c
}
