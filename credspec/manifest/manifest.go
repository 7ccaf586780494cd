// Package manifest reads Kubernetes manifests that hold credential specs:
// GMSACredentialSpec objects of windows.k8s.io, as YAML or JSON, one or many in
// a file, or in lists.
//
// It says what the API server and credspec.Validate find wrong with each, with
// the places in the file. It asks no cluster, and refuses to know any other
// kind of object: those are passed over.
package manifest

import (
	"bytes"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// The object that holds a credential spec.
const (
	Group = "windows.k8s.io"
	Kind  = "GMSACredentialSpec"

	version    = "v1"
	deprecated = "v1alpha1"
)

// The names of an object's members.
const (
	nameAPIVersion = "apiVersion"
	nameKind       = "kind"
	nameMetadata   = "metadata"
	nameCredspec   = "credspec"
	nameItems      = "items"
)

// Object is one object of a file.
type Object struct {
	APIVersion, Kind string
	Name             string // metadata.name
	// Skipped says that it is an object of another kind, at which nobody has
	// looked.
	Skipped bool
	// Problems have their places in the file, and pointers into the YAML
	// document that the object stands in.
	Problems []credspec.Problem
	// Document is its credential spec as JSON, on one line; nil if it has none
	// that can be written so.
	Document []byte

	path   string // of the credential spec
	tokens []token
}

// Is reports whether data is a manifest rather than a credential spec: a JSON
// object with apiVersion and kind, or YAML with one of them at the start of a
// line.
func Is(data []byte) bool {
	text := trimmed(data)
	if bytes.HasPrefix(text, []byte("{")) {
		root, err := jsontree.Parse(data, limits)
		if err != nil {
			return false
		}
		named := func(name string) bool {
			return slices.ContainsFunc(root.Members, func(m jsontree.Member) bool { return m.Name == name })
		}
		return named(nameAPIVersion) && named(nameKind)
	}
	for line := range bytes.Lines(text) {
		key, _, found := bytes.Cut(line, []byte(":"))
		if key = bytes.Trim(key, `"'`); found && (string(key) == nameAPIVersion || string(key) == nameKind) {
			return true
		}
	}
	return false
}

// trimmed is data without a byte order mark and blanks before it.
func trimmed(data []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\ufeff")), " \t\r\n")
}

// Read returns the objects of a manifest in the order of the file. A part that
// cannot be read is an object without kind that says why. The options are those
// of credspec.Validate.
func Read(data []byte, options ...credspec.Option) []Object {
	if len(data) > credspec.MaxSize {
		return []Object{{Problems: []credspec.Problem{problem("", place{1, 1}, errorf("keep the file smaller, with fewer objects"), "the file is longer than %d bytes", credspec.MaxSize)}}}
	}
	f := file{options: append(slices.Clone(options), credspec.InManifest())}
	for _, part := range parts(data) {
		for _, root := range part.documents {
			f.document(root)
		}
		if part.broken != nil {
			f.objects = append(f.objects, Object{Problems: []credspec.Problem{*part.broken}})
		}
	}
	return f.objects
}

// file collects the objects of one.
type file struct {
	options []credspec.Option
	objects []Object
	spent   int // of maxWork
}

func (f *file) document(root *yaml.Node) {
	for root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	if root.Kind == yaml.DocumentNode || root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return // comments only
	}
	f.object(root, "")
}

// Locate turns a problem of an object's Document, with its place and pointer
// there, into one of the file.
func (o *Object) Locate(p credspec.Problem) credspec.Problem {
	at := placeOf(o.tokens, p.Column)
	p.Path, p.Line, p.Column = o.path+p.Path, at.line, at.column
	return p
}
