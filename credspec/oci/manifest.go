package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// The types of our artifact and of its layer.
const (
	ArtifactType = "application/vnd.gmsa-agent.credential-spec.v1"
	LayerType    = "application/vnd.gmsa-agent.credential-spec.v1+json"
)

// maxManifest bounds a manifest, in bytes. Ours have 700; those of the largest
// images have some 50 KiB, and should be answered with what they are.
const maxManifest = 128 << 10

// manifest is what is read of a manifest, or an index. What else it has, such as
// the address or the content of a layer, is not looked at.
type manifest struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       descriptor        `json:"config"`
	Layers       []descriptor      `json:"layers"`
	Manifests    []json.RawMessage `json:"manifests"`
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// documentOf returns the layer that is the document. Its errors go on from the
// artifact's name.
func documentOf(mediaType string, raw []byte) (ocispec.Descriptor, error) {
	layer, err := readManifest(mediaType, raw)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%w: %w", err, fault.ErrMalformed)
	}
	return layer, nil
}

func readManifest(mediaType string, raw []byte) (ocispec.Descriptor, error) {
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil { // it repeats what is there
		return ocispec.Descriptor{}, errors.New("has a manifest that is not one of OCI's or Docker's")
	}
	switch {
	case m.Manifests != nil && m.Layers != nil, m.MediaType != "" && m.MediaType != mediaType:
		// Two programs could read two things out of it (CVE-2021-41190).
		return ocispec.Descriptor{}, errors.New("has a manifest that says two things of what it is")
	case m.Manifests != nil:
		return ocispec.Descriptor{}, fmt.Errorf("is an index of %d manifests (an image for several platforms, perhaps) and not a credential spec", len(m.Manifests))
	}
	// OCI 1.1: without an artifact type, that of the configuration is it.
	kind := m.ArtifactType
	if kind == "" {
		kind = m.Config.MediaType
	}
	switch {
	case kind == ArtifactType:
	case strings.Contains(kind, "image.config.v1+json"), strings.Contains(kind, "container.image.v1+json"):
		return ocispec.Descriptor{}, errors.New("is a container image and not a credential spec")
	default:
		return ocispec.Descriptor{}, fmt.Errorf("is an artifact of type %.100q and not %s", kind, ArtifactType)
	}
	if len(m.Layers) != 1 {
		return ocispec.Descriptor{}, fmt.Errorf("has %d layers and not one", len(m.Layers))
	}
	layer := m.Layers[0]
	id, err := digest.Parse(layer.Digest)
	switch {
	case layer.MediaType != LayerType:
		return ocispec.Descriptor{}, fmt.Errorf("has a layer of type %.100q and not %s", layer.MediaType, LayerType)
	case err != nil:
		return ocispec.Descriptor{}, errors.New("has a layer without a digest that can be verified")
	case layer.Size < 0 || layer.Size > credspec.MaxSize:
		return ocispec.Descriptor{}, fmt.Errorf("has a document of %d bytes, and %d are allowed", layer.Size, credspec.MaxSize)
	}
	return ocispec.Descriptor{MediaType: LayerType, Digest: id, Size: layer.Size}, nil
}

// emptyConfig is the content of the configuration that an artifact without one
// has: OCI 1.1's empty descriptor.
var emptyConfig = []byte("{}")

// newManifest makes the manifest of a document. The same document under the same
// title has the same manifest, byte for byte: it has no date.
func newManifest(data []byte, title string) (manifest []byte, layer, config ocispec.Descriptor, err error) {
	layer = describe(LayerType, data)
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	config = describe(ocispec.MediaTypeEmptyJSON, emptyConfig)
	manifest, err = json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: ArtifactType,
		Config:       config,
		Layers:       []ocispec.Descriptor{layer},
	})
	return manifest, layer, config, err
}

func describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}
