// Package jsontree reads a JSON document into a tree that remembers where in
// the text everything stands, and changes documents by position.
//
// Two things need it that encoding/json cannot give. A problem in a document is
// reported with its place, and a document that belongs to somebody else is
// changed without touching a byte that is not ours: order, white space, number
// literals, escapes and unknown members stay as they are.
//
// It reads exactly RFC 8259 and nothing more, and it refuses what readers are
// known to disagree about (invalid UTF-8, unpaired surrogates). Two members of
// one object with the same name are kept; [Value.Member] refuses to choose
// between them. The package knows no schema.
package jsontree

import "strings"

// Kind is the type of a JSON value.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// String is the kind as a person would say it: "a string", "null".
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "true or false"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Array:
		return "an array"
	case Object:
		return "an object"
	}
	return "nothing"
}

// Value is one JSON value and its place in the document.
type Value struct {
	Kind       Kind
	Start, End int      // the value's bytes are doc[Start:End]
	Text       string   // a string's decoded text
	Elements   []Value  // an array's elements
	Members    []Member // an object's members, in the document's order
}

// Member is one member of an object. Its name's bytes, quotes included, are
// doc[Start:End].
type Member struct {
	Name       string
	Start, End int
	Value      Value
}

// Member returns the member with exactly this name, nil if there is none.
//
// It returns an [*AmbiguousError] if another member has the same name, or one
// that differs only in case: encoding/json takes the last of them, other
// readers the first or the exact one, so that nobody can say what such an
// object means.
func (v *Value) Member(name string) (*Member, error) {
	var found *Member
	for i := range v.Members {
		m := &v.Members[i]
		switch {
		case m.Name == name && found == nil:
			found = m
		case strings.EqualFold(m.Name, name):
			return nil, &AmbiguousError{Name: name, Found: m.Name, Offset: m.Start}
		}
	}
	return found, nil
}

// AmbiguousError says that an object's member cannot be named without doubt.
type AmbiguousError struct {
	Name   string // what was looked for
	Found  string // what stands at Offset: the same name again, or one that differs in case
	Offset int    // where in the document
}

func (e *AmbiguousError) Error() string {
	if e.Found == e.Name {
		return "member \"" + e.Name + "\" stands there twice"
	}
	return "member \"" + e.Found + "\" differs from \"" + e.Name + "\" only in case"
}
