package https_test

import (
	"errors"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/integration/httpslab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestAnUnchangedDocumentIsNotSentAgain(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, trusting(l))
	for _, path := range []string{"/specs/x", "/weak/x", "/dated/x", "/redirect/302?to=/specs/x", "/redirect/302?to=/dated/x"} {
		l.Put("x", []byte(credspectest.Document))
		r := ref(t, l.URL+path)
		doc := want(t, s, l.URL+path)
		if doc.Tag == "" {
			t.Errorf("%s: no tag", path)
			continue
		}
		if again, err := s.Revalidate(t.Context(), r, doc.Tag); err != credspec.ErrUnchanged || again.Data != nil {
			t.Errorf("%s: %d bytes, error %v", path, len(again.Data), err)
		}
		l.Put("x", []byte(`{"changed":true}`))
		changed, err := s.Revalidate(t.Context(), r, doc.Tag)
		if err != nil || string(changed.Data) != `{"changed":true}` || changed.Tag == doc.Tag {
			t.Errorf("%s, after a change: %v, tag %q, %v", path, changed, changed.Tag, err)
		}
		l.Remove("x")
		if _, err := s.Revalidate(t.Context(), r, changed.Tag); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%s, removed: %v", path, err)
		}
	}
}

// A date in the second of the change fits the next change in that second too.
func TestADocumentWithoutAValidatorHasNoTag(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, trusting(l))
	for _, path := range []string{"/bare/x", "/young/x"} {
		if doc := want(t, s, l.URL+path); doc.Tag != "" {
			t.Errorf("%s: tag %q", path, doc.Tag)
		}
	}
}

func TestATagThatIsNotOfThisDocumentFetchesIt(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, trusting(l))
	redirected := want(t, s, to(l.URL, "302", "/specs/x")).Tag
	direct := want(t, s, l.URL+"/specs/x").Tag
	for url, tags := range map[string][]string{
		l.URL + "/specs/x":               {"", "x", `etag "other"`, "etag v1", "modified never", "etag \"v1\"\r\nX: y", redirected},
		to(l.URL, "302", "/specs/x"):     {direct},
		to(l.URL, "302", "/specs/x?a=b"): {redirected},
	} {
		for _, tag := range tags {
			doc, err := s.Revalidate(t.Context(), ref(t, url), tag)
			if err != nil || string(doc.Data) != credspectest.Document {
				t.Errorf("%s with tag %q: %d bytes, error %v", url, tag, len(doc.Data), err)
			}
		}
	}
}

// Two servers may have the same validator for two documents.
func TestAValidatorIsShownToTheServerThatGaveIt(t *testing.T) {
	l, other := start(t, httpslab.Options{}), start(t, httpslab.Options{})
	other.Put("x", []byte("{}"))
	other.Put("x", []byte(`{"of":"the other"}`))
	cfg := trusting(l)
	cfg.Hosts = map[string]https.Host{hostOf(t, other.URL): {CAFile: other.CAFile}}
	s := source(t, cfg)
	l.Put("x", []byte(credspectest.Document))
	l.Put("x", []byte(credspectest.Document)) // as many as the other: the same ETag
	tag := want(t, s, to(l.URL, "302", "/specs/x")).Tag
	l.Requests()
	doc, err := s.Revalidate(t.Context(), ref(t, to(l.URL, "302", other.URL+"/specs/x")), tag)
	if err != nil || string(doc.Data) != `{"of":"the other"}` {
		t.Errorf("%d bytes, error %v", len(doc.Data), err)
	}
	for _, r := range append(l.Requests(), other.Requests()...) {
		if r.Condition != "" {
			t.Errorf("%s was shown %s", r.Path, r.Condition)
		}
	}
}

func TestANotModifiedThatNobodyAskedForIsAnError(t *testing.T) {
	l := start(t, httpslab.Options{})
	refused(t, source(t, trusting(l)), l.URL+"/status/304", fault.ErrMalformed)
}

var _ credspec.Revalidator = (*https.Source)(nil)
