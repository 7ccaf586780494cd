package jsontree

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Edit replaces doc[Start:End] by Text.
type Edit struct {
	Start, End int
	Text       []byte
}

// Apply makes all edits at once; every other byte stays as it is. The edits
// must not overlap. The document itself is not changed.
func Apply(doc []byte, edits ...Edit) []byte {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int { return a.Start - b.Start })
	size := len(doc)
	for _, e := range edits {
		size += len(e.Text)
	}
	out := make([]byte, 0, size)
	pos := 0
	for _, e := range edits {
		out = append(out, doc[pos:e.Start]...)
		out = append(out, e.Text...)
		pos = e.End
	}
	return append(out, doc[pos:]...)
}

// Pair is a member to be written: its name, and its value as JSON.
type Pair struct {
	Name  string
	Value []byte
}

// Set returns the edits that give an object these members: a member that is
// there has its value replaced where it stands, the others are added at the
// end. It fails with an [*AmbiguousError] as [Value.Member] does.
func Set(object *Value, pairs ...Pair) ([]Edit, error) {
	var edits []Edit
	var added []byte
	for _, pair := range pairs {
		m, err := object.Member(pair.Name)
		if err != nil {
			return nil, err
		}
		if m != nil {
			edits = append(edits, Edit{m.Value.Start, m.Value.End, pair.Value})
			continue
		}
		if len(object.Members) > 0 || len(added) > 0 {
			added = append(added, ',')
		}
		added = append(added, Quote(pair.Name)...)
		added = append(added, ':')
		added = append(added, pair.Value...)
	}
	if len(added) == 0 {
		return edits, nil
	}
	at := object.Start + 1
	if n := len(object.Members); n > 0 {
		at = object.Members[n-1].Value.End
	}
	return append(edits, Edit{at, at, added}), nil
}

// Compose is an object of these members, as JSON.
func Compose(pairs ...Pair) []byte {
	out := []byte{'{'}
	for i, pair := range pairs {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, Quote(pair.Name)...)
		out = append(out, ':')
		out = append(out, pair.Value...)
	}
	return append(out, '}')
}

// Quote is a string as JSON. Unlike encoding/json's default it leaves <, > and
// & alone, so that what people read in a document is what they wrote. Bytes
// that are not UTF-8 become U+FFFD.
func Quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // of a string into memory: cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
