package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Pushed says what a push has done.
type Pushed struct {
	Ref       string // by digest: oci://REGISTRY/REPOSITORY@DIGEST
	Unchanged bool   // the tag named this artifact already
	Replaced  string // the digest that the tag named before, if it named another
}

// Push stores a document under the tag that ref names. The same document in a
// repository of the same name has the same digest, whenever and by whomever it
// is pushed; its title is the last element of the repository's name.
//
// A document that is empty or longer than credspec.MaxSize, and a reference
// without a tag or with a digest or a pin, is fault.ErrMalformed. The other
// errors are as Resolve's: a repository that must be made first is
// fault.ErrNotFound, a tag that may not be changed is fault.ErrDenied.
func (s *Source) Push(ctx context.Context, ref credspec.Ref, data []byte) (Pushed, error) {
	name, err := pushable(ref)
	if err != nil {
		return Pushed{}, err
	}
	if len(data) == 0 || len(data) > credspec.MaxSize {
		return Pushed{}, fmt.Errorf("the document has %d bytes, and 1 to %d are allowed: %w", len(data), credspec.MaxSize, fault.ErrMalformed)
	}
	c, err := s.connect(name)
	if err != nil {
		return Pushed{}, err
	}
	defer c.close()
	// One token for all of it.
	ctx = auth.AppendRepositoryScope(ctx, name.Reference, auth.ActionPull, auth.ActionPush)
	pushed, err := c.push(ctx, data)
	if err != nil {
		return Pushed{}, c.explain(ctx, err)
	}
	return pushed, nil
}

// CheckPush says why nothing can be pushed to a reference, nil if it has the
// form: oci://REGISTRY/REPOSITORY:TAG. Its error is fault.ErrMalformed.
func CheckPush(ref credspec.Ref) error {
	_, err := pushable(ref)
	return err
}

func pushable(ref credspec.Ref) (name, error) {
	n, err := parse(ref)
	switch {
	case err != nil:
		return name{}, err
	case ref.Scheme != Scheme:
		return name{}, fmt.Errorf("the reference is not oci://REGISTRY/REPOSITORY:TAG: %w", fault.ErrMalformed)
	case ref.SHA256 != "" || strings.Contains(ref.Rest, "@"):
		return name{}, fmt.Errorf("the reference has a digest, which follows from the document; the tag alone is oci://REGISTRY/REPOSITORY:TAG: %w", fault.ErrMalformed)
	}
	return n, nil
}

func (c *connection) push(ctx context.Context, data []byte) (Pushed, error) {
	raw, layer, config, err := newManifest(data, path.Base(c.name.Repository)+".json")
	if err != nil {
		return Pushed{}, err
	}
	manifest := describe(ocispec.MediaTypeImageManifest, raw)
	pushed := Pushed{Ref: Scheme + "://" + c.name.at(manifest.Digest)}
	before, err := c.repo.Manifests().Resolve(ctx, c.name.version())
	switch {
	case err == nil && before.Digest == manifest.Digest:
		pushed.Unchanged = true
		return pushed, nil
	case err == nil:
		pushed.Replaced = before.Digest.String()
	case !missing(err):
		return Pushed{}, err
	}
	if err := c.blob(ctx, layer, data); err != nil {
		return Pushed{}, err
	}
	if err := c.blob(ctx, config, emptyConfig); err != nil {
		return Pushed{}, err
	}
	// The manifest last: the tag never names an artifact that is not whole.
	return pushed, c.repo.Manifests().PushReference(ctx, manifest, bytes.NewReader(raw), c.name.version())
}

// blob stores one if it is not there.
func (c *connection) blob(ctx context.Context, desc ocispec.Descriptor, data []byte) error {
	_, err := c.repo.Blobs().Resolve(ctx, desc.Digest.String())
	if err == nil || !missing(err) {
		return err
	}
	return c.repo.Blobs().Push(ctx, desc, bytes.NewReader(data))
}

func missing(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.status == http.StatusNotFound
}
