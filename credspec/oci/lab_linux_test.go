package oci

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/registrylab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// registries are the lab's, each started by the first test that needs it and
// stopped after the last one.
var registries = struct {
	secure, open labOnce
}{open: labOnce{options: registrylab.Options{PlainHTTP: true, Anonymous: true}}}

type labOnce struct {
	sync.Once
	options registrylab.Options
	lab     *registrylab.Lab
	err     error
}

func (o *labOnce) start(t *testing.T) *registrylab.Lab {
	t.Helper()
	if err := registrylab.Ready(); err != nil {
		t.Skip(err)
	}
	o.Do(func() {
		o.options.Report = lab.Report(t)
		o.lab, o.err = registrylab.Start(context.Background(), o.options)
	})
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.lab
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, o := range []*labOnce{&registries.secure, &registries.open} {
		if o.lab == nil {
			continue
		}
		if err := o.lab.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// secure returns a source with all rights on a registry with TLS and a user.
func secure(t *testing.T) (*Source, *registrylab.Lab) {
	t.Helper()
	l := registries.secure.start(t)
	return newSource(t, Config{Registries: map[string]Registry{
		l.Host: {CAFile: l.CAFile, Username: l.Username, PasswordFile: l.PasswordFile},
	}}), l
}

// open returns a source for a registry that is open to all, and its address.
func open(t *testing.T) (*Source, string) {
	t.Helper()
	l := registries.open.start(t)
	return newSource(t, Config{Registries: map[string]Registry{l.Host: {PlainHTTP: true}}}), l.Host
}

func refAt(host, rest string) credspec.Ref {
	return credspec.Ref{Scheme: Scheme, Rest: host + "/" + rest}
}

func push(t *testing.T, s *Source, ref credspec.Ref, data []byte) Pushed {
	t.Helper()
	pushed, err := s.Push(t.Context(), ref, data)
	if err != nil {
		t.Fatal(err)
	}
	return pushed
}

func resolve(t *testing.T, s *Source, ref credspec.Ref) credspec.Document {
	t.Helper()
	doc, err := s.Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestConformance(t *testing.T) {
	credspectest.Run(t, func(t *testing.T) credspectest.Fixture {
		s, l := secure(t)
		return credspectest.Fixture{
			Source:  s,
			Missing: refAt(l.Host, "specs/missing:1"),
			Put: func(t *testing.T, name string, data []byte) credspec.Ref {
				t.Helper()
				ref := refAt(l.Host, "specs/"+name+":1")
				if len(data) <= credspec.MaxSize {
					push(t, s, ref, data)
				} else {
					pushAnything(t, s, ref, data)
				}
				return ref
			},
		}
	})
}

// pushAnything stores a document that Push would refuse.
func pushAnything(t *testing.T, s *Source, ref credspec.Ref, data []byte) {
	t.Helper()
	n, err := parse(ref)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.connect(n)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.push(t.Context(), data); err != nil {
		t.Fatal(err)
	}
}

func TestADocumentIsResolvedByTagAndByDigest(t *testing.T) {
	s, l := secure(t)
	ref := refAt(l.Host, "by/webapp01:1")
	pushed := push(t, s, ref, []byte(credspectest.Document))
	byDigest, err := credspec.ParseRef(pushed.Ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []credspec.Ref{ref, byDigest} {
		doc := resolve(t, s, ref)
		if string(doc.Data) != credspectest.Document || Scheme+"://"+doc.Origin != pushed.Ref || !strings.HasSuffix(pushed.Ref, "@"+doc.Tag) {
			t.Errorf("%v has tag %s, want what was pushed as %s", doc, doc.Tag, pushed.Ref)
		}
	}
	// The tag moves on, the digest stays.
	push(t, s, ref, []byte("{}"))
	if doc := resolve(t, s, ref); string(doc.Data) != "{}" {
		t.Errorf("the tag still names %v", doc)
	}
	if doc := resolve(t, s, byDigest); string(doc.Data) != credspectest.Document {
		t.Errorf("the digest names %v", doc)
	}
}

func TestPushingTheSameAgainChangesNothing(t *testing.T) {
	s, l := secure(t)
	ref := refAt(l.Host, "again/webapp01:1")
	first := push(t, s, ref, []byte(credspectest.Document))
	again := push(t, s, ref, []byte(credspectest.Document))
	if want := (Pushed{Ref: first.Ref, Unchanged: true}); again != want {
		t.Errorf("got %+v, want %+v", again, want)
	}
	other := push(t, s, ref, []byte("{}"))
	_, digest, _ := strings.Cut(first.Ref, "@")
	if other.Replaced != digest || other.Unchanged || other.Ref == first.Ref {
		t.Errorf("got %+v, want one that replaced %s", other, digest)
	}
	// Back again: what the registry has already is not sent.
	if back := push(t, s, ref, []byte(credspectest.Document)); back.Ref != first.Ref || back.Unchanged {
		t.Errorf("got %+v, want %s", back, first.Ref)
	}
}

func TestWhatCannotBePushedIsRefused(t *testing.T) {
	s, l := secure(t)
	pinned := refAt(l.Host, "no/webapp01:1")
	pinned.SHA256 = credspec.Digest([]byte("{}"))
	for name, tt := range map[string]struct {
		ref  credspec.Ref
		data string
	}{
		"to a digest": {refAt(l.Host, "no/webapp01@"+aDigest), "{}"},
		"to a pin":    {pinned, "{}"},
		"to both":     {refAt(l.Host, "no/webapp01:1@"+aDigest), "{}"},
		"nowhere":     {refAt(l.Host, "no/webapp01"), "{}"},
		"nothing":     {refAt(l.Host, "no/webapp01:1"), ""},
		"too much":    {refAt(l.Host, "no/webapp01:1"), strings.Repeat(" ", credspec.MaxSize+1)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Push(t.Context(), tt.ref, []byte(tt.data))
			wantError(t, err, fault.ErrMalformed)
		})
	}
	_, err := s.Resolve(t.Context(), refAt(l.Host, "no/webapp01:1"))
	wantError(t, err, fault.ErrNotFound)
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	s, l := secure(t)
	push(t, s, refAt(l.Host, "there/webapp01:1"), []byte("{}"))
	for rest, want := range map[string]string{
		"there/webapp01:2":          "has no there/webapp01:2",
		"there/webapp01@" + aDigest: "has no there/webapp01@" + aDigest,
		// Other registries say that the repository is missing; distribution does not.
		"absent/webapp01:1": "has no absent/webapp01:1",
	} {
		_, err := s.Resolve(t.Context(), refAt(l.Host, rest))
		wantError(t, err, fault.ErrNotFound, l.Host, want)
	}
}

func TestWithoutTheRightCredentialsARegistryRefuses(t *testing.T) {
	s, l := secure(t)
	ref := refAt(l.Host, "denied/webapp01:1")
	push(t, s, ref, []byte("{}"))
	for name, tt := range map[string]struct {
		registry Registry
		text     string
	}{
		"a wrong password": {Registry{Username: l.Username, PasswordFile: writeFile(t, "p", "hunter2")}, `user "robot" (401 `},
		"another user":     {Registry{Username: "other", PasswordFile: l.PasswordFile}, `user "other" (401 `},
		"nobody":           {Registry{}, "an anonymous caller"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.registry.CAFile = l.CAFile
			s := newSource(t, Config{Registries: map[string]Registry{l.Host: tt.registry}})
			_, err := s.Resolve(t.Context(), ref)
			wantError(t, err, fault.ErrDenied, tt.text, l.Host)
			_, err = s.Push(t.Context(), ref, []byte("{}\n"))
			wantError(t, err, fault.ErrDenied, tt.text, l.Host)
			_, err = s.Revalidate(t.Context(), ref, aDigest)
			wantError(t, err, fault.ErrDenied, tt.text, l.Host)
		})
	}
}

func TestARealRegistrysCertificateIsVerified(t *testing.T) {
	_, l := secure(t)
	other := newFake(t, document)
	for name, ca := range map[string]string{"by the system": "", "by another authority": caFile(t, other.Server)} {
		s := newSource(t, Config{Registries: map[string]Registry{l.Host: {CAFile: ca, Username: l.Username, PasswordFile: l.PasswordFile}}})
		_, err := s.Resolve(t.Context(), refAt(l.Host, "specs/webapp01:1"))
		t.Log(name)
		wantError(t, err, fault.ErrUnavailable, "certificate", l.Host)
	}
}

// What others put into a registry, by oras' own hand.
func TestWhatIsNoCredentialSpecInARealRegistryIsNamed(t *testing.T) {
	s, host := open(t)
	repo, err := remote.NewRepository(host + "/other/webapp01")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	store := func(tag, artifactType string, version oras.PackManifestVersion, layers ...ocispec.Descriptor) {
		t.Helper()
		desc, err := oras.PackManifest(t.Context(), repo, version, artifactType, oras.PackManifestOptions{Layers: layers})
		if err != nil {
			t.Fatal(err)
		}
		if err := repo.Tag(t.Context(), desc, tag); err != nil {
			t.Fatal(err)
		}
	}
	layer := func(mediaType string) ocispec.Descriptor {
		t.Helper()
		desc := content.NewDescriptorFromBytes(mediaType, []byte(document))
		if err := repo.Push(t.Context(), desc, strings.NewReader(document)); err != nil {
			t.Fatal(err)
		}
		return desc
	}
	// As `oras push --artifact-type` does it.
	store("oras", ArtifactType, oras.PackManifestVersion1_1, layer(LayerType))
	if doc := resolve(t, s, refAt(host, "other/webapp01:oras")); string(doc.Data) != document {
		t.Errorf("an artifact that oras made is %v", doc)
	}
	store("image", ocispec.MediaTypeImageConfig, oras.PackManifestVersion1_0, layer(ocispec.MediaTypeImageLayerGzip))
	store("chart", "application/vnd.cncf.helm.config.v1+json", oras.PackManifestVersion1_0, layer("application/gzip"))
	store("file", ArtifactType, oras.PackManifestVersion1_1, layer("application/json"))
	index := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
	if err := repo.PushReference(t.Context(), content.NewDescriptorFromBytes(ocispec.MediaTypeImageIndex, index), bytes.NewReader(index), "index"); err != nil {
		t.Fatal(err)
	}
	for tag, text := range map[string]string{
		"image": "is a container image", "chart": "vnd.cncf.helm", "file": `"application/json"`, "index": "is an index",
	} {
		_, err := s.Resolve(t.Context(), refAt(host, "other/webapp01:"+tag))
		wantError(t, err, fault.ErrMalformed, "other/webapp01:"+tag+" ", text)
	}
}

// counted stands before a registry and counts what it is asked.
func counted(t *testing.T, host string) (proxy string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var requests []string
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests = append(requests, r.Method+" "+r.URL.Path)
		mu.Unlock()
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), func() []string {
		mu.Lock()
		defer mu.Unlock()
		defer func() { requests = nil }()
		return requests
	}
}

func TestRevalidationOfARealRegistryFetchesNoDocument(t *testing.T) {
	behind, host := open(t)
	push(t, behind, refAt(host, "counted/webapp01:1"), []byte(document))
	proxy, asked := counted(t, host)
	s := newSource(t, Config{Registries: map[string]Registry{proxy: {PlainHTTP: true}}})
	ref := refAt(proxy, "counted/webapp01:1")
	doc := resolve(t, s, ref)
	const base = "/v2/counted/webapp01/"
	want := []string{"GET " + base + "manifests/1", "GET " + base + "blobs/sha256:" + credspec.Digest([]byte(document))}
	if diff := cmp.Diff(want, asked()); diff != "" {
		t.Errorf("to resolve:\n%s", diff)
	}
	if _, err := s.Revalidate(t.Context(), ref, doc.Tag); err != credspec.ErrUnchanged {
		t.Errorf("error %v, want credspec.ErrUnchanged", err)
	}
	if diff := cmp.Diff([]string{"HEAD " + base + "manifests/1"}, asked()); diff != "" {
		t.Errorf("to revalidate:\n%s", diff)
	}
	push(t, behind, refAt(host, "counted/webapp01:1"), []byte("{}"))
	if changed, err := s.Revalidate(t.Context(), ref, doc.Tag); err != nil || string(changed.Data) != "{}" {
		t.Errorf("changed: %v, %v", changed, err)
	}
}

// A push that is cut off leaves no tag on an artifact that is not whole.
func TestAPushThatFailsLeavesTheTagAlone(t *testing.T) {
	behind, host := open(t)
	push(t, behind, refAt(host, "half/webapp01:1"), []byte("{}"))
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
		broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == method {
				refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE")
				return
			}
			forward.ServeHTTP(w, r)
		}))
		t.Cleanup(broken.Close)
		proxy := strings.TrimPrefix(broken.URL, "http://")
		s := newSource(t, Config{Registries: map[string]Registry{proxy: {PlainHTTP: true}}})
		_, err := s.Push(t.Context(), refAt(proxy, "half/webapp01:1"), []byte(document+method))
		wantError(t, err, fault.ErrUnavailable, "503")
		if doc := resolve(t, behind, refAt(host, "half/webapp01:1")); string(doc.Data) != "{}" {
			t.Errorf("%s: the tag names %v", method, doc)
		}
	}
}
