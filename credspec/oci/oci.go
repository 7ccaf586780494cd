// Package oci resolves oci:// references: credential specs kept as artifacts in
// an OCI registry. It also puts them there.
//
// An artifact is an image manifest of OCI 1.1 whose type is [ArtifactType] and
// whose one layer, of type [LayerType], is the document. Anything else (an
// image, an index, an artifact of another program) is refused, and the error
// says what it is.
//
// Whoever may start a container names the registry, and a registry names
// further servers: the one that gives tokens, and the one that has the content.
// So every connection is bounded by internal/outbound and goes over TLS, but to
// a registry on this host that is configured for plain HTTP; and credentials are
// sent to the registry and to the token service that it names, and nowhere else.
// Nothing is kept between two calls, neither a token nor a connection nor what
// stood in a file: a changed password counts at once.
//
// The package runs no credential helper, and refuses to know what a credential
// spec is.
package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Scheme is the scheme of its references.
const Scheme = "oci"

// Config says how to connect to registries. Its zero value asks any of them, as
// nobody.
type Config struct {
	AuthFile   string              // a config.json as docker login writes it; its "auths" are used, its helpers are not
	Registries map[string]Registry // by host, or host:port; lower case

	RestrictToRegistries bool // refuse every registry that is not in Registries
}

// Registry is what is particular to one registry.
type Registry struct {
	CAFile       string // PEM certificates that sign its; empty: the system's
	Username     string // empty: as Config.AuthFile has it, else anonymous
	PasswordFile string
	PlainHTTP    bool // without TLS; for a registry on this host only
}

// Source implements credspec.Revalidator and credspec.Admitter.
type Source struct{ cfg Config }

var (
	_ credspec.Revalidator = (*Source)(nil)
	_ credspec.Admitter    = (*Source)(nil)
)

// New returns the source. It asks nobody yet, and reads no file. It fails with
// fault.ErrMalformed where the configuration is wrong.
func New(cfg Config) (*Source, error) {
	registries := make(map[string]Registry, len(cfg.Registries))
	for name, r := range cfg.Registries {
		switch {
		case r.PlainHTTP && !isLoopback(name):
			return nil, fmt.Errorf("registry %s is not on this host, and plain HTTP is for one that is: %w", name, fault.ErrMalformed)
		case (r.Username == "") != (r.PasswordFile == ""):
			return nil, fmt.Errorf("registry %s has one of user name and password file, and not both: %w", name, fault.ErrMalformed)
		}
		registries[canonical(name)] = r
	}
	cfg.Registries = registries
	return &Source{cfg}, nil
}

// Admit implements credspec.Admitter: it refuses what names nothing, and what is
// in a registry that is not to be asked.
func (s *Source) Admit(ref credspec.Ref) error {
	name, err := parse(ref)
	if err != nil {
		return err
	}
	return s.admit(name)
}

// Resolve fetches the artifact's manifest and then its document, and verifies
// both. The document's Tag is the manifest's digest.
func (s *Source) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	return s.ask(ctx, ref, (*connection).document)
}

// Revalidate implements credspec.Revalidator. It asks for the manifest's digest
// alone.
func (s *Source) Revalidate(ctx context.Context, ref credspec.Ref, tag string) (credspec.Document, error) {
	return s.ask(ctx, ref, func(c *connection, ctx context.Context) (credspec.Document, error) {
		now, err := c.repo.Manifests().Resolve(ctx, c.name.version())
		switch {
		case err == nil && now.Digest.String() == tag:
			return credspec.Document{}, credspec.ErrUnchanged
		case final(err):
			return credspec.Document{}, err
		}
		return c.document(ctx)
	})
}

// final reports whether the answer to HEAD is one that GET has no other for.
// What is missing is said in a body only, and some registries do not answer
// HEAD, or answer it without a digest.
func final(err error) bool {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.status != http.StatusNotFound && r.status != http.StatusMethodNotAllowed
	}
	_, silent := errors.AsType[*unanswered](err)
	return silent
}

func (s *Source) ask(ctx context.Context, ref credspec.Ref, what func(*connection, context.Context) (credspec.Document, error)) (credspec.Document, error) {
	name, err := parse(ref)
	if err != nil {
		return credspec.Document{}, err
	}
	c, err := s.connect(name)
	if err != nil {
		return credspec.Document{}, err
	}
	defer c.close()
	doc, err := what(c, ctx)
	if errors.Is(err, credspec.ErrUnchanged) {
		return credspec.Document{}, err
	}
	if err != nil {
		return credspec.Document{}, c.explain(ctx, err)
	}
	doc.Ref = ref
	return doc, nil
}

// document fetches what the connection's reference names.
func (c *connection) document(ctx context.Context) (credspec.Document, error) {
	desc, raw, err := c.manifest(ctx)
	if err != nil {
		return credspec.Document{}, err
	}
	layer, err := documentOf(desc.MediaType, raw)
	if err != nil {
		return credspec.Document{}, fmt.Errorf("%s %w", c.name, err)
	}
	body, err := c.repo.Blobs().Fetch(ctx, layer)
	if r, ok := errors.AsType[*refusal](err); ok && r.status == http.StatusNotFound {
		// Half copied from elsewhere, or half collected.
		return credspec.Document{}, fmt.Errorf("the document of %s is missing, of which the manifest is there: %w", c.name, fault.ErrUnavailable)
	}
	if err != nil {
		return credspec.Document{}, err
	}
	defer body.Close()
	data, err := content.ReadAll(body, layer)
	if err != nil {
		return credspec.Document{}, fmt.Errorf("the document of %s arrived damaged: %w", c.name, err)
	}
	return credspec.Document{Data: data, Origin: c.name.at(desc.Digest), Tag: desc.Digest.String()}, nil
}

// manifest fetches what the reference names. Its digest is verified: it is that
// of the reference, or for a tag the one that the registry says.
func (c *connection) manifest(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	desc, body, err := c.repo.Manifests().FetchReference(ctx, c.name.version())
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	defer body.Close()
	switch {
	case !strings.HasSuffix(desc.MediaType, "json"): // the page of a proxy, of a product's own web server
		return ocispec.Descriptor{}, nil, fmt.Errorf("its answer is of type %.60q and no manifest: is a registry there? %w", desc.MediaType, fault.ErrUnavailable)
	case desc.Size > maxManifest:
		return ocispec.Descriptor{}, nil, fmt.Errorf("the manifest of %s is longer than %d bytes: %w", c.name, maxManifest, fault.ErrMalformed)
	}
	raw, err := content.ReadAll(body, desc)
	if err != nil {
		return ocispec.Descriptor{}, nil, fmt.Errorf("the manifest of %s arrived damaged: %w", c.name, err)
	}
	return desc, raw, nil
}
