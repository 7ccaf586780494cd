package jsontree

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var roomy = Limits{Size: 1 << 20, Depth: 64, Values: 1 << 16, Name: 1 << 10}

func mustParse(t testing.TB, doc string) *Value {
	t.Helper()
	v, err := Parse([]byte(doc), roomy)
	if err != nil {
		t.Fatalf("Parse(%s): %v", doc, err)
	}
	return v
}

func TestParseRemembersWhereEverythingStands(t *testing.T) {
	const doc = "\xef\xbb\xbf { \"a\" : [ 1.50 , true,null ],\n\"\\u0062\":\"x\\ud83d\\ude00\\/\" } "
	v := mustParse(t, doc)
	literal := func(start, end int) string { return doc[start:end] }
	if got, want := literal(v.Start, v.End), strings.TrimSpace(doc[3:]); got != want {
		t.Errorf("document is %q, want %q", got, want)
	}
	type place struct{ Name, NameText, Text string }
	var got []place
	for _, m := range v.Members {
		got = append(got, place{m.Name, literal(m.Start, m.End), literal(m.Value.Start, m.Value.End)})
	}
	want := []place{{"a", `"a"`, "[ 1.50 , true,null ]"}, {"b", `"\u0062"`, `"x\ud83d\ude00\/"`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := v.Members[1].Value.Text; got != "x😀/" {
		t.Errorf("decoded text is %q", got)
	}
	var kinds []Kind
	for _, e := range v.Members[0].Value.Elements {
		kinds = append(kinds, e.Kind)
	}
	if diff := cmp.Diff([]Kind{Number, Bool, Null}, kinds); diff != "" {
		t.Error(diff)
	}
}

func TestParseSaysWhereADocumentStopsBeingJSON(t *testing.T) {
	for doc, want := range map[string]SyntaxError{
		``:                                  {0, "the document ends where a value should start"},
		`{"a":1`:                            {6, "the document ends after a member, where a comma or } should be"},
		`{"a" 1}`:                           {5, `unexpected '1' after a member's name, where a colon should be`},
		`{"a":1,}`:                          {7, `unexpected '}' where a member's name should start`},
		`[1 2]`:                             {3, `unexpected '2' after an element, where a comma or ] should be`},
		`[1,]`:                              {3, `unexpected ']' where a value should start`},
		`{} x`:                              {3, `unexpected 'x' after the end of the document`},
		`{'a':1}`:                           {1, `unexpected '\'' where a member's name should start`},
		`tru`:                               {0, `unexpected 't' where a value should start`},
		`01`:                                {1, `unexpected '1' after the end of the document`},
		`-`:                                 {1, `the document ends in a number`},
		`1.`:                                {2, `the document ends in a number, after the point`},
		`1e+`:                               {3, `the document ends in a number's exponent`},
		`"abc`:                              {0, `a string does not end`},
		`"é`:                                {0, `a string does not end`},
		"\"a\nb\"":                          {2, `control character 0x0a in a string`},
		`"\x"`:                              {1, `a backslash that starts no escape`},
		`"\u12G4"`:                          {1, `\u without four hexadecimal digits`},
		`"\ud800"`:                          {1, `an unpaired surrogate escape`},
		`"\ud800\u0041"`:                    {1, `an unpaired surrogate escape`},
		`"\udc00"`:                          {1, `an unpaired surrogate escape`},
		"\"\xff\"":                          {1, `byte 0xff in a string is not UTF-8`},
		"\xff\xfe{":                         {0, `byte 0xff where a value should start is not UTF-8`},
		"\ufeff\ufeff{}":                    {3, `unexpected '\ufeff' where a value should start`},
		`[[[[[[]]]]]]`:                      {5, "arrays and objects within each other deeper than 5"},
		`[1,2,3,4,5,6,7,8,9]`:               {17, "the document has more than 9 values"},
		`{"12345678901":1}`:                 {1, "a member's name is longer than 10 bytes"},
		`"` + strings.Repeat("x", 40) + `"`: {40, "the document is longer than 40 bytes"},
	} {
		_, err := Parse([]byte(doc), Limits{Size: 40, Depth: 5, Values: 9, Name: 10})
		var got *SyntaxError
		if !errors.As(err, &got) {
			t.Errorf("Parse(%q) = %v, want a SyntaxError", doc, err)
		} else if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("Parse(%q): %s", doc, diff)
		}
	}
}

func TestMemberRefusesToChoose(t *testing.T) {
	for _, tt := range []struct{ doc, name, want string }{
		{`{"A":1,"A":2}`, "A", `member "A" stands there twice`},
		{`{"A":1,"a":2}`, "A", `member "a" differs from "A" only in case`},
		{`{"a":1}`, "A", `member "a" differs from "A" only in case`},
		{`{"Sid":1,"\u017fid":2}`, "Sid", `member "ſid" differs from "Sid" only in case`}, // encoding/json folds the long s
	} {
		_, err := mustParse(t, tt.doc).Member(tt.name)
		var ambiguous *AmbiguousError
		if !errors.As(err, &ambiguous) || err.Error() != tt.want {
			t.Errorf("Member(%q) of %s: %v, want %q", tt.name, tt.doc, err, tt.want)
		}
	}
	m, err := mustParse(t, `{"b":1,"A":2}`).Member("A")
	if err != nil || m == nil || m.Value.Kind != Number {
		t.Errorf("Member = %v, %v", m, err)
	}
	if m, err := mustParse(t, `{"b":1}`).Member("A"); m != nil || err != nil {
		t.Errorf("absent Member = %v, %v", m, err)
	}
}

func TestPlaceCountsAsEditorsDo(t *testing.T) {
	const doc = "\ufeffab\r\nçd\n\nx"
	for _, tt := range []struct{ offset, line, column int }{
		{-1, 1, 1}, {0, 1, 1}, {3, 1, 1}, {4, 1, 2}, {7, 2, 1}, {9, 2, 2}, {11, 3, 1}, {12, 4, 1}, {13, 4, 2}, {99, 4, 2},
	} {
		if line, column := Place([]byte(doc), tt.offset); line != tt.line || column != tt.column {
			t.Errorf("Place(%d) = %d, %d, want %d, %d", tt.offset, line, column, tt.line, tt.column)
		}
	}
}

func TestPointerEscapes(t *testing.T) {
	if got := PointerIndex(Pointer(Pointer("", "a/b"), "~"), 3); got != "/a~1b/~0/3" {
		t.Error(got)
	}
}

func TestSetChangesNothingElse(t *testing.T) {
	pairs := []Pair{{"B", []byte("7")}, {"C", []byte(`"x"`)}}
	for doc, want := range map[string]string{
		`{}`:                        `{"B":7,"C":"x"}`,
		` { } `:                     ` {"B":7,"C":"x" } `,
		`{"a":1e2 }`:                `{"a":1e2,"B":7,"C":"x" }`,
		`{ "\u0042" : [ ], "z":0 }`: `{ "\u0042" : 7, "z":0,"C":"x" }`,
		`{"C":{},"B":null}`:         `{"C":"x","B":7}`,
	} {
		edits, err := Set(mustParse(t, doc), pairs...)
		if err != nil {
			t.Errorf("Set in %s: %v", doc, err)
		} else if got := string(Apply([]byte(doc), edits...)); got != want {
			t.Errorf("Set in %s gives %s, want %s", doc, got, want)
		}
	}
	if _, err := Set(mustParse(t, `{"b":1}`), pairs...); err == nil {
		t.Error("Set beside a name that differs only in case succeeds")
	}
}

func TestQuoteKeepsWhatPeopleWrote(t *testing.T) {
	if got := string(Quote("a<b>&\"\\\n€")); got != `"a<b>&\"\\\n€"` {
		t.Error(got)
	}
	if got := string(Compose(Pair{"k", []byte("1")}, Pair{"l", Quote("m")})); got != `{"k":1,"l":"m"}` {
		t.Error(got)
	}
	if got := string(Compose()); got != `{}` {
		t.Error(got)
	}
}

// FuzzParse holds the parser against encoding/json: they accept the same
// documents (but for what only we refuse) and decode them to the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{}`, ` [1,-0.5e+7,"a\u00e9\n",{"k":[null,true,false]}] `, `{"a":1,"a":2}`, `"\ud83d\ude00"`, `"\ud83d"`, `[[[`, `{"a":}`, "\ufeff1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		v, err := Parse(doc, roomy)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("error %T", err)
			}
			if syntax.Offset < 0 || syntax.Offset > len(doc) {
				t.Fatalf("offset %d of %d", syntax.Offset, len(doc))
			}
			strict := json.Valid(doc) && utf8.Valid(doc) && len(doc) < 1000 && !bytes.Contains(doc, []byte(`\u`))
			if strict && bytes.Count(doc, []byte("["))+bytes.Count(doc, []byte("{")) <= roomy.Depth {
				t.Fatalf("refuses %q: %v", doc, err)
			}
			return
		}
		plain := bytes.TrimPrefix(doc, byteOrderMark)
		if !json.Valid(plain) {
			t.Fatalf("accepts %q", doc)
		}
		same(t, doc, v)
	})
}

// same checks a value against encoding/json's reading of its bytes.
func same(t *testing.T, doc []byte, v *Value) {
	t.Helper()
	literal := doc[v.Start:v.End]
	switch v.Kind {
	case String:
		var s string
		if err := json.Unmarshal(literal, &s); err != nil || s != v.Text {
			t.Fatalf("%q is %q, encoding/json has %q, %v", literal, v.Text, s, err)
		}
	case Array:
		var raw []json.RawMessage
		if err := json.Unmarshal(literal, &raw); err != nil || len(raw) != len(v.Elements) {
			t.Fatalf("%q has %d elements, encoding/json has %d, %v", literal, len(v.Elements), len(raw), err)
		}
		for i := range v.Elements {
			same(t, doc, &v.Elements[i])
		}
	case Object:
		for i := range v.Members {
			var name string
			if err := json.Unmarshal(doc[v.Members[i].Start:v.Members[i].End], &name); err != nil || name != v.Members[i].Name {
				t.Fatalf("name %q, encoding/json has %q, %v", v.Members[i].Name, name, err)
			}
			same(t, doc, &v.Members[i].Value)
		}
	default:
		if !json.Valid(literal) {
			t.Fatalf("%q is no value", literal)
		}
	}
}
