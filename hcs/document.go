package hcs

import (
	"fmt"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// MaxSize bounds what is read, in bytes. A container's document has some ten
// kilobytes; the reply about all instances has a credential spec of up to
// 64 KiB for each container.
const MaxSize = 16 << 20

var limits = jsontree.Limits{Size: MaxSize, Depth: 64, Values: 1 << 17, Name: 4 << 10}

// A node is a value, what it is part of, and how it got there: errors say so.
type node struct {
	*jsontree.Value
	what string // "v2 document", "service properties", …
	path string // JSON pointer
}

func parse(what string, doc []byte) (node, error) {
	v, err := jsontree.Parse(doc, limits)
	if err != nil {
		return node{}, fmt.Errorf("%s: %w: %w", what, err, fault.ErrMalformed)
	}
	return node{v, what, ""}.is(jsontree.Object)
}

func (n node) errorf(format string, args ...any) error {
	place := n.what
	if n.path != "" {
		place += ": " + n.path
	}
	return fmt.Errorf("%s %s: %w", place, fmt.Sprintf(format, args...), fault.ErrMalformed)
}

func (n node) is(kind jsontree.Kind) (node, error) {
	if n.Kind != kind {
		return node{}, n.errorf("is %v and should be %v", n.Kind, kind)
	}
	return n, nil
}

// member returns a member of an object; none, or null, is a node without a
// value.
func (n node) member(name string) (node, error) {
	m, err := n.Member(name)
	if err != nil {
		return node{}, n.errorf("has no one meaning: %v", err)
	}
	child := node{what: n.what, path: jsontree.Pointer(n.path, name)}
	if m != nil && m.Value.Kind != jsontree.Null {
		child.Value = &m.Value
	}
	return child, nil
}

func (n node) object(name string) (node, error) {
	child, err := n.member(name)
	if err != nil || child.Value == nil {
		return child, err
	}
	return child.is(jsontree.Object)
}

// elements returns an array's elements, which are objects.
func (n node) elements(name string) ([]node, error) {
	child, err := n.member(name)
	if err != nil || child.Value == nil {
		return nil, err
	}
	if child, err = child.is(jsontree.Array); err != nil {
		return nil, err
	}
	var all []node
	for i := range child.Elements {
		e, err := node{&child.Elements[i], n.what, jsontree.PointerIndex(child.path, i)}.is(jsontree.Object)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// text is a string member: its name, and where what it says goes or is.
type text struct {
	name  string
	value *string
}

// read fills in string members; a missing one is empty.
func (n node) read(texts ...text) error {
	for _, t := range texts {
		child, err := n.member(t.name)
		if err != nil {
			return err
		}
		if child.Value == nil {
			continue
		}
		if child, err = child.is(jsontree.String); err != nil {
			return err
		}
		*t.value = child.Text
	}
	return nil
}

// flag returns a true or false; a missing one is false.
func (n node) flag(doc []byte, name string) (bool, error) {
	child, err := n.member(name)
	if err != nil || child.Value == nil {
		return false, err
	}
	if child, err = child.is(jsontree.Bool); err != nil {
		return false, err
	}
	return doc[child.Start] == 't', nil
}

// pairs are string members as JSON. Empty ones are left out, as hcsshim does.
func pairs(what string, texts []text) ([]jsontree.Pair, error) {
	var all []jsontree.Pair
	for _, t := range texts {
		switch {
		case !utf8.ValidString(*t.value):
			return nil, fmt.Errorf("%s: the %s to set is not UTF-8: %w", what, t.name, fault.ErrMalformed)
		case *t.value != "":
			all = append(all, jsontree.Pair{Name: t.name, Value: jsontree.Quote(*t.value)})
		}
	}
	return all, nil
}

// set gives an object members and leaves every other byte of the document
// alone.
func (n node) set(doc []byte, members ...jsontree.Pair) ([]byte, error) {
	edits, err := jsontree.Set(n.Value, members...)
	if err != nil {
		return nil, n.errorf("has no one meaning: %v", err)
	}
	return jsontree.Apply(doc, edits...), nil
}
