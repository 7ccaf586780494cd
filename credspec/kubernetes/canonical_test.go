package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

func canonicalOf(t *testing.T, doc string) (string, error) {
	t.Helper()
	root, err := jsontree.Parse([]byte(doc), limits)
	if err != nil {
		t.Fatal(err)
	}
	out, err := canonical(nil, []byte(doc), root)
	return string(out), err
}

// The strings and the order of names are RFC 8785's own samples (3.2.2, 3.2.3).
func TestCanonicalFormIsThatOfRFC8785(t *testing.T) {
	for doc, want := range map[string]string{
		`{ "literals": [null, true, false] , "a":{}, "b":[ ] }`:                       `{"a":{},"b":[],"literals":[null,true,false]}`,
		`"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"`:                             `"€$\u000f\nA'B\"\\\\\"/"`,
		`"\b\t\n\f\r\u0000\u001f\u007f\u2028<>&"`:                                     "\"\\b\\t\\n\\f\\r\\u0000\\u001f\u007f\u2028<>&\"",
		`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`: "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}",
		`[1, -0, 1.50, 12345678901234567890, 1E3]`:                                    `[1,-0,1.50,12345678901234567890,1E3]`,
	} {
		if got, err := canonicalOf(t, doc); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", doc, got, err, want)
		}
	}
}

func TestCanonicalFormLosesNoMember(t *testing.T) {
	for _, doc := range []string{`{"a":1,"b":2,"a":1}`, `[{"\u0061":1,"a":2}]`} {
		if got, err := canonicalOf(t, doc); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%s: got %s, %v", doc, got, err)
		}
	}
}

// FuzzParse holds whatever an API server may send to: no panic, and a document
// that means what the object says, in a form that is its own canonical form.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"name":"x","uid":"u","resourceVersion":"1"},"credspec":{"b":[1,"\u00e9",null],"a":{"\u0000":true}}}`,
		`{"metadata":{"name":"x","uid":"u","resourceVersion":"1"},"credspec":{"a":1,"a":2}}`,
		`{"metadata":{"name":"x","uid":"u","resourceVersion":"1"}}`,
		`{"credspec":{}}`, `[]`, `{"kind":"Status"}`, `<html>`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := parse(body, "x")
		if err != nil {
			if !errors.Is(err, fault.ErrUnavailable) {
				t.Fatalf("error %v", err)
			}
			return
		}
		data, err := o.document()
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if diff := cmp.Diff(meaning(t, body[o.spec.Start:o.spec.End]), meaning(t, data)); diff != "" {
			t.Errorf("the canonical form means something else (-want +got):\n%s", diff)
		}
		if again, err := canonicalOf(t, string(data)); err != nil || again != string(data) {
			t.Errorf("the canonical form of %s is %s, %v", data, again, err)
		}
	})
}

func meaning(t *testing.T, doc []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
