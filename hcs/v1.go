package hcs

import "github.com/gmsa-agent/gmsa-agent/internal/jsontree"

// nameCredentials is the member of hcsshim's ContainerConfig.
const nameCredentials = "Credentials"

// InjectV1 returns a container configuration of the first schema with this
// credential spec in it, which must not be empty. Everything else stays as it
// is.
//
// Here and in all functions of this package, a document that is not JSON, has
// another shape, or has a member that we must read twice or in another case,
// is fault.ErrMalformed, and the error names the place.
func InjectV1(doc []byte, credentialSpec Opaque) ([]byte, error) {
	root, err := parse("v1 document", doc)
	if err != nil {
		return nil, err
	}
	spec := credentialSpec.Reveal()
	members, err := pairs(root.what, []text{{nameCredentials, &spec}})
	if err != nil {
		return nil, err
	}
	if len(members) == 0 {
		return nil, root.errorf("cannot get an empty credential spec")
	}
	return root.set(doc, members...)
}

// ExtractV1 returns the credential spec of a container configuration of the
// first schema; ok says whether there is one.
func ExtractV1(doc []byte) (credentialSpec Opaque, ok bool, err error) {
	root, err := parse("v1 document", doc)
	if err != nil {
		return Opaque{}, false, err
	}
	return extractV1(root)
}

func extractV1(root node) (Opaque, bool, error) {
	child, err := root.member(nameCredentials)
	if err != nil || child.Value == nil {
		return Opaque{}, false, err
	}
	if child, err = child.is(jsontree.String); err != nil {
		return Opaque{}, false, err
	}
	return NewOpaque(child.Text), child.Text != "", nil
}
