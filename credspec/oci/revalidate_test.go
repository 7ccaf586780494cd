package oci

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

const (
	manifest1 = "/v2/" + repository + "/manifests/1"
	blob      = "/v2/" + repository + "/blobs/"
)

func TestRevalidationAsksForADigestAlone(t *testing.T) {
	f := newFake(t, document)
	s := f.source(Registry{})
	doc, err := s.Resolve(t.Context(), f.ref(":1"))
	if err != nil {
		t.Fatal(err)
	}
	byDigest := f.ref("@" + doc.Tag)
	f.asked()
	for ref, want := range map[credspec.Ref][]string{
		f.ref(":1"): {"HEAD " + manifest1},
		byDigest:    {"HEAD /v2/" + repository + "/manifests/" + doc.Tag},
	} {
		if _, err := s.Revalidate(t.Context(), ref, doc.Tag); !errors.Is(err, credspec.ErrUnchanged) {
			t.Errorf("%v: error %v, want credspec.ErrUnchanged", ref, err)
		}
		if diff := cmp.Diff(want, f.asked()); diff != "" {
			t.Errorf("%v:\n%s", ref, diff)
		}
	}
}

func TestRevalidationReturnsAChangedDocument(t *testing.T) {
	const changed = document + "\n"
	f := newFake(t, document)
	s := f.source(Registry{})
	first, err := s.Resolve(t.Context(), f.ref(":1"))
	if err != nil {
		t.Fatal(err)
	}
	f.store("1", changed)
	f.asked()
	second, err := s.Revalidate(t.Context(), f.ref(":1"), first.Tag)
	if err != nil || string(second.Data) != changed || second.Tag == first.Tag || second.Tag == "" {
		t.Fatalf("%v with tag %q, %v", second, second.Tag, err)
	}
	want := []string{"HEAD " + manifest1, "GET " + manifest1, "GET " + blob + "sha256:" + credspec.Digest([]byte(changed))}
	if diff := cmp.Diff(want, f.asked()); diff != "" {
		t.Error(diff)
	}
}

func TestRevalidationFailsAsResolutionDoes(t *testing.T) {
	for name, tt := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request) bool
		want  error
		text  string
		asked []string
	}{
		"taken away":       {on("manifests", status(404, "NAME_UNKNOWN")), fault.ErrNotFound, "no repository", []string{"HEAD " + manifest1, "GET " + manifest1}},
		"no longer ours":   {on("manifests", status(403, "DENIED")), fault.ErrDenied, "403", []string{"HEAD " + manifest1}},
		"asked too often":  {on("manifests", status(429, "TOOMANYREQUESTS")), fault.ErrUnavailable, "429", []string{"HEAD " + manifest1}},
		"down":             {on("manifests", page(503)), fault.ErrUnavailable, "503", []string{"HEAD " + manifest1}},
		"a page":           {on("manifests", page(200)), fault.ErrUnavailable, "no manifest", []string{"HEAD " + manifest1, "GET " + manifest1}},
		"HEAD is not done": {on("manifests", status(405, "UNSUPPORTED")), fault.ErrUnavailable, "405", []string{"HEAD " + manifest1, "GET " + manifest1}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, document)
			f.fault = tt.fault
			_, err := f.source(Registry{}).Revalidate(t.Context(), f.ref(":1"), aDigest)
			wantError(t, err, tt.want, tt.text)
			if diff := cmp.Diff(tt.asked, f.asked()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARegistryWithoutDigestsIsAskedForTheDocument(t *testing.T) {
	f := newFake(t, document)
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead {
			return false
		}
		manifestBody([]byte("{}"), "")(w, r)
		return true
	}
	doc, err := f.source(Registry{}).Revalidate(t.Context(), f.ref(":1"), aDigest)
	if err != nil || string(doc.Data) != document {
		t.Errorf("%d bytes, %v", len(doc.Data), err)
	}
}
