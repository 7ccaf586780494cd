package kubernetes

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// version is a Secret's: which object it is, and in which state.
type version struct{ uid, resource string }

func (v version) String() string { return v.uid + "/" + v.resource }

// after says whether v is of a later state than o. Kubernetes counts the states
// of all objects in one sequence
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
// What does not look like a count is taken for later if it is another one.
func (v version) after(o version) bool {
	a, err1 := strconv.ParseUint(v.resource, 10, 64)
	b, err2 := strconv.ParseUint(o.resource, 10, 64)
	if err1 != nil || err2 != nil {
		return v != o
	}
	return a > b
}

// metadata is what identifies an object.
type metadata struct{ Namespace, Name, UID, ResourceVersion string }

// check refuses what is not the Secret that was asked for. Where it is not,
// somebody else than a Kubernetes API server has answered:
// fault.ErrUnavailable.
func (m metadata) check(n name) error {
	switch {
	case m.UID == "" || m.ResourceVersion == "" || len(m.UID)+len(m.ResourceVersion) > 256:
		return fmt.Errorf("is no object of Kubernetes: %w", fault.ErrUnavailable)
	case m.Namespace != n.namespace || m.Name != n.name:
		return fmt.Errorf("is another object: %w", fault.ErrUnavailable)
	}
	return nil
}

// parse reads a Secret. All that is decoded of its data is overwritten. Values
// are decoded from base64 to bytes, and are never text in between.
func parse(body []byte, n name) (*secrets.Credential, version, error) {
	var object struct {
		Kind     string
		Metadata metadata
		Data     map[string][]byte
	}
	err := json.Unmarshal(body, &object)
	defer func() {
		for _, value := range object.Data {
			clear(value)
		}
	}()
	if err != nil || object.Kind != "Secret" { // the error's text may quote the answer
		return nil, version{}, fmt.Errorf("is no Secret: %w", fault.ErrUnavailable)
	}
	if err := object.Metadata.check(n); err != nil {
		return nil, version{}, err
	}
	cred, err := secrets.ParseKeys(object.Data)
	if err != nil {
		return nil, version{}, fmt.Errorf("has no credential: %w", err)
	}
	v := version{object.Metadata.UID, object.Metadata.ResourceVersion}
	cred.Version = v.String()
	return cred, v, nil
}
