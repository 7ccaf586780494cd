package oci

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// name says where an artifact is.
type name struct{ registry.Reference }

// version is the tag or the digest.
func (n name) version() string { return n.Reference.Reference }

// parse reads what follows oci://. A tag before a digest does not count, as
// with images.
func parse(ref credspec.Ref) (name, error) {
	n, err := registry.ParseReference(ref.Rest)
	if err == nil && n.Reference == "" {
		return name{}, fmt.Errorf("%s names neither a tag nor a digest: %w", n, fault.ErrMalformed)
	}
	if err == nil {
		// oras drops a tag before a digest unread, whatever it is.
		before, _, _ := strings.Cut(ref.Rest, "@")
		_, err = registry.ParseReference(before)
	}
	if err != nil { // it repeats the reference
		return name{}, fmt.Errorf("the reference is not oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@DIGEST: %w", fault.ErrMalformed)
	}
	n.Registry = strings.ToLower(n.Registry)
	return name{n}, nil
}

// at is the name of a manifest, whatever tag it has.
func (n name) at(d digest.Digest) string {
	n.Reference.Reference = d.String()
	return n.Reference.String()
}

// artifact is the name without the registry, for messages that have it.
func (n name) artifact() string { return strings.TrimPrefix(n.String(), n.Registry+"/") }

// canonical is how a registry is called in the configuration and in a
// credentials file, whichever of its names was given: lower case, without the
// port of https, and Docker Hub by the name that people know.
func canonical(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return host
}

// isLoopback reports whether host, or host:port, is this host by its name.
func isLoopback(host string) bool {
	u := url.URL{Host: strings.ToLower(host)}
	return outbound.IsLoopback(u.Hostname())
}
