package oci

import (
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// layer is one of ours, with size bytes.
func layerJSON(mediaType, digest string, size int64) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest, size)
}

const (
	ourType  = `"schemaVersion":2,"artifactType":"` + ArtifactType + `"`
	anImage  = `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[]}`
	noConfig = `"config":{"mediaType":"application/vnd.oci.empty.v1+json","data":"e30="}`
)

func TestAnArtifactOfOursHasOneDocument(t *testing.T) {
	ours := layerJSON(LayerType, aDigest, 5)
	for name, raw := range map[string]string{
		"OCI 1.1":              `{` + ourType + `,` + noConfig + `,"layers":[` + ours + `]}`,
		"OCI 1.0":              `{"schemaVersion":2,"config":{"mediaType":"` + ArtifactType + `"},"layers":[` + ours + `]}`,
		"with its media type":  `{` + ourType + `,"mediaType":"` + ocispec.MediaTypeImageManifest + `","layers":[` + ours + `]}`,
		"with more than we do": `{` + ourType + `,"layers":[` + ours + `],"subject":{},"annotations":{"org.opencontainers.image.created":"2026-01-01T00:00:00Z"}}`,
	} {
		layer, err := documentOf(ocispec.MediaTypeImageManifest, []byte(raw))
		if err != nil || layer.Digest != aDigest || layer.Size != 5 {
			t.Errorf("%s: %v, %v", name, layer, err)
		}
	}
}

func TestWhatIsNoArtifactOfOursIsNamed(t *testing.T) {
	ours := layerJSON(LayerType, aDigest, 5)
	const manifest, index = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
	for name, tt := range map[string]struct{ mediaType, raw, text string }{
		"an image":            {manifest, anImage, "container image"},
		"an image of Docker":  {"application/vnd.docker.distribution.manifest.v2+json", strings.Replace(anImage, "oci.image.config", "docker.container.image", 1), "container image"},
		"an index":            {index, `{"schemaVersion":2,"manifests":[{},{}]}`, "index of 2 manifests"},
		"an empty index":      {index, `{"schemaVersion":2,"manifests":[]}`, "index of 0 manifests"},
		"a chart":             {manifest, `{"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json"}}`, "application/vnd.cncf.helm.config.v1+json"},
		"nothing":             {manifest, `{}`, `type ""`},
		"both":                {manifest, `{` + ourType + `,"layers":[` + ours + `],"manifests":[]}`, "two things"},
		"another type inside": {manifest, `{` + ourType + `,"mediaType":"` + index + `","layers":[` + ours + `]}`, "two things"},
		"no layer":            {manifest, `{` + ourType + `,"layers":[]}`, "0 layers"},
		"two layers":          {manifest, `{` + ourType + `,"layers":[` + ours + `,` + ours + `]}`, "2 layers"},
		"a layer of files":    {manifest, `{` + ourType + `,"layers":[` + layerJSON("application/gzip", aDigest, 5) + `]}`, `"application/gzip"`},
		"no digest":           {manifest, `{` + ourType + `,"layers":[` + layerJSON(LayerType, "", 5) + `]}`, "digest"},
		"a weak digest":       {manifest, `{` + ourType + `,"layers":[` + layerJSON(LayerType, "md5:d41d8cd98f00b204e9800998ecf8427e", 5) + `]}`, "digest"},
		"a path as a digest":  {manifest, `{` + ourType + `,"layers":[` + layerJSON(LayerType, "sha256:../../x", 5) + `]}`, "digest"},
		"too long":            {manifest, `{` + ourType + `,"layers":[` + layerJSON(LayerType, aDigest, credspec.MaxSize+1) + `]}`, "1048577 bytes"},
		"less than nothing":   {manifest, `{` + ourType + `,"layers":[` + layerJSON(LayerType, aDigest, -1) + `]}`, "-1 bytes"},
		"no JSON":             {manifest, `canary`, "not one of OCI's"},
		"another shape":       {manifest, `{"layers":"canary"}`, "not one of OCI's"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := documentOf(tt.mediaType, []byte(tt.raw))
			wantError(t, err, fault.ErrMalformed, tt.text)
		})
	}
}

// Who pushes a document again, from another host or a year later, must get the
// same digest: a change of these bytes changes everybody's.
func TestADocumentsManifestIsAlwaysTheSame(t *testing.T) {
	raw, layer, _, err := newManifest([]byte("{}\n"), "webapp01.json")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"artifactType":"application/vnd.gmsa-agent.credential-spec.v1",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},` +
		`"layers":[{"mediaType":"application/vnd.gmsa-agent.credential-spec.v1+json","digest":"sha256:ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3,` +
		`"annotations":{"org.opencontainers.image.title":"webapp01.json"}}]}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
	if got, err := documentOf(ocispec.MediaTypeImageManifest, raw); err != nil || got.Digest != layer.Digest {
		t.Errorf("read again: %v, %v", got, err)
	}
}

func FuzzManifest(f *testing.F) {
	raw, _, _, err := newManifest([]byte(document), "webapp01.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ocispec.MediaTypeImageManifest, raw)
	f.Add(ocispec.MediaTypeImageManifest, []byte(anImage))
	f.Add(ocispec.MediaTypeImageIndex, []byte(`{"manifests":[{}]}`))
	f.Add(ocispec.MediaTypeImageManifest, []byte(`{`+ourType+`,"layers":[`+layerJSON(LayerType, aDigest, 1<<62)+`]}`))
	f.Fuzz(func(t *testing.T, mediaType string, raw []byte) {
		layer, err := documentOf(mediaType, raw)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if layer.Size < 0 || layer.Size > credspec.MaxSize || layer.Digest.Validate() != nil || !layer.Digest.Algorithm().Available() {
			t.Errorf("%+v is taken for a document", layer)
		}
		if layer.URLs != nil || layer.Data != nil {
			t.Errorf("%+v has more than an address in the registry", layer)
		}
	})
}
