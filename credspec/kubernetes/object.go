package kubernetes

import (
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// limits on an answer. Its metadata.managedFields may have many more values than
// its credspec.
var limits = jsontree.Limits{Size: maxObject, Depth: 64, Values: 1 << 17, Name: maxObject}

// object is what the API server sent: all of a GMSACredentialSpec, or its
// metadata.
type object struct {
	tag  string
	json []byte
	spec *jsontree.Value // nil if there is none
}

// parse reads an answer and checks that it is what was asked for. Where it is
// not, somebody else than a Kubernetes API server has answered, or only a part
// of its answer came: fault.ErrUnavailable.
func parse(body []byte, name string) (*object, error) {
	root, err := jsontree.Parse(body, limits)
	if err != nil { // its text may repeat a character of the document
		return nil, fmt.Errorf("is not JSON: %w", fault.ErrUnavailable)
	}
	metadata, err := root.Member("metadata")
	if err != nil || metadata == nil {
		return nil, fmt.Errorf("is no object of Kubernetes: %w", fault.ErrUnavailable)
	}
	var text [3]string
	for i, member := range []string{"name", "uid", "resourceVersion"} {
		m, err := metadata.Value.Member(member)
		if err != nil || m == nil || m.Value.Kind != jsontree.String || m.Value.Text == "" {
			return nil, fmt.Errorf("has no metadata.%s: %w", member, fault.ErrUnavailable)
		}
		text[i] = m.Value.Text
	}
	if text[0] != name {
		return nil, fmt.Errorf("is another object: %w", fault.ErrUnavailable)
	}
	o := &object{tag: text[1] + "/" + text[2], json: body}
	spec, err := root.Member("credspec")
	if err != nil {
		return nil, fmt.Errorf("has more than one credspec: %w", fault.ErrUnavailable)
	}
	if spec != nil {
		o.spec = &spec.Value
	}
	return o, nil
}

// document is the credential spec in its canonical form.
func (o *object) document() ([]byte, error) {
	if o.spec == nil || o.spec.Kind != jsontree.Object {
		return nil, fmt.Errorf("it has no credspec: %w", fault.ErrMalformed)
	}
	data, err := canonical(nil, o.json, o.spec)
	if err != nil {
		return nil, err
	}
	if len(data) > credspec.MaxSize {
		return nil, fmt.Errorf("its credspec has more than %d bytes: %w", credspec.MaxSize, fault.ErrMalformed)
	}
	return data, nil
}
