package credspec_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// fixed is a source that has one document.
type fixed string

func (s fixed) Resolve(_ context.Context, ref credspec.Ref) (credspec.Document, error) {
	return credspec.Document{Data: []byte(s), Origin: "a test"}, nil
}

// broken is a source that has an error.
type broken struct{ error }

func (s broken) Resolve(context.Context, credspec.Ref) (credspec.Document, error) {
	return credspec.Document{}, s.error
}

func TestMuxAsksTheSourceOfTheScheme(t *testing.T) {
	m := credspec.NewMux(map[string]credspec.Source{"a": fixed("one"), "b": fixed("two")})
	ref := credspec.Ref{Scheme: "b", Rest: "x"}
	doc, err := m.Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	want := credspec.Document{
		Data: []byte("two"), Ref: ref, Origin: "a test",
		Digest: "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3", // sha256sum
	}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, m.Schemes()); diff != "" {
		t.Error(diff)
	}
}

func TestMuxTellsKnownSchemesFromUnknownOnes(t *testing.T) {
	m := credspec.NewMux(map[string]credspec.Source{"file": fixed("x"), "raw": fixed("x")})
	for _, scheme := range credspec.KnownSchemes() {
		_, err := m.Resolve(t.Context(), credspec.Ref{Scheme: scheme, Rest: "x"})
		if scheme == "file" || scheme == "raw" {
			if err != nil {
				t.Errorf("%s: %v", scheme, err)
			}
			continue
		}
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "this build has no source for "+scheme+":// (it has file, raw)") {
			t.Errorf("%s: error %v", scheme, err)
		}
	}
	_, err := m.Resolve(t.Context(), credspec.Ref{Scheme: "gopher", Rest: "hole"})
	if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), `"gopher" is not a scheme of credential specs`) {
		t.Errorf("gopher: error %v", err)
	}
}

func TestMuxErrorsNameTheReferenceAndKeepTheKind(t *testing.T) {
	cause := fmt.Errorf("no such thing: %w", fault.ErrNotFound)
	ref := credspec.Ref{Scheme: "a", Rest: "x"}
	_, err := credspec.NewMux(map[string]credspec.Source{"a": broken{cause}}).Resolve(t.Context(), ref)
	var resolve *credspec.ResolveError
	if !errors.As(err, &resolve) || resolve.Ref != ref || !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("error %#v", err)
	}
	if got, want := err.Error(), "resolve credential spec a://x: no such thing: not found"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestMuxRefusesAnEmptyDocument(t *testing.T) {
	_, err := credspec.NewMux(map[string]credspec.Source{"a": fixed("")}).Resolve(t.Context(), credspec.Ref{Scheme: "a"})
	if !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("error %v", err)
	}
}

func TestDocumentPrintsWithoutItsBytes(t *testing.T) {
	doc := credspec.Document{Data: []byte(`canary`), Ref: credspec.Ref{Scheme: "raw", Rest: `canary`}, Origin: "here", Digest: "d1"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "doc", doc)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "doc", doc)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		fmt.Fprintf(&log, verb, doc)
		fmt.Fprintf(&log, verb, []*credspec.Document{&doc})
	}
	if s := log.String(); strings.Contains(s, "canary") || strings.Contains(s, "63616e617279") || !strings.Contains(s, "d1") {
		t.Errorf("prints %s", s)
	}
}
