package hcs

import "github.com/gmsa-agent/gmsa-agent/internal/jsontree"

// InjectV2 returns a compute system document of schema 2.1 with this state as
// its container's ContainerCredentialGuard. Everything else stays as it is; of a
// state that was there, so do unknown members and those that are empty in the
// new one.
//
// The container is the document's own (process isolation) or its hosted
// system's (in a utility VM).
func InjectV2(doc []byte, state ContainerCredentialGuardState) ([]byte, error) {
	root, err := parse("v2 document", doc)
	if err != nil {
		return nil, err
	}
	container, err := containerV2(root)
	if err != nil {
		return nil, err
	}
	guard, err := container.object(PropertyTypeContainerCredentialGuard)
	if err != nil {
		return nil, err
	}
	members, err := pairs(root.what, state.texts())
	if err != nil {
		return nil, err
	}
	if guard.Value != nil {
		return guard.set(doc, members...)
	}
	return container.set(doc, jsontree.Pair{Name: PropertyTypeContainerCredentialGuard, Value: jsontree.Compose(members...)})
}

// texts are the members of a state.
func (s ContainerCredentialGuardState) texts() []text {
	cookie, transport, spec := s.Cookie.Reveal(), string(s.Transport), s.CredentialSpec.Reveal()
	return []text{{"Cookie", &cookie}, {"RpcEndpoint", &s.RpcEndpoint}, {"Transport", &transport}, {"CredentialSpec", &spec}}
}

// ExtractV2 returns the ContainerCredentialGuard of a compute system document
// of schema 2.1; ok says whether there is one.
func ExtractV2(doc []byte) (state ContainerCredentialGuardState, ok bool, err error) {
	root, err := parse("v2 document", doc)
	if err != nil {
		return ContainerCredentialGuardState{}, false, err
	}
	return extractV2(root)
}

func extractV2(root node) (ContainerCredentialGuardState, bool, error) {
	container, err := containerV2(root)
	if err != nil {
		return ContainerCredentialGuardState{}, false, err
	}
	guard, err := container.object(PropertyTypeContainerCredentialGuard)
	if err != nil || guard.Value == nil {
		return ContainerCredentialGuardState{}, false, err
	}
	state, err := guard.state()
	return state, err == nil, err
}

// state reads a ContainerCredentialGuardState.
func (n node) state() (ContainerCredentialGuardState, error) {
	var cookie, endpoint, transport, spec string
	err := n.read(text{"Cookie", &cookie}, text{"RpcEndpoint", &endpoint}, text{"Transport", &transport}, text{"CredentialSpec", &spec})
	return ContainerCredentialGuardState{
		Cookie:         NewOpaque(cookie),
		RpcEndpoint:    endpoint,
		Transport:      ContainerCredentialGuardTransport(transport),
		CredentialSpec: NewOpaque(spec),
	}, err
}

// containerV2 finds the container of a compute system document.
func containerV2(root node) (node, error) {
	own, err := root.object("Container")
	if err != nil {
		return node{}, err
	}
	hosted, err := root.object("HostedSystem")
	if err != nil {
		return node{}, err
	}
	if hosted.Value != nil {
		if hosted, err = hosted.object("Container"); err != nil {
			return node{}, err
		}
	}
	switch {
	case own.Value != nil && hosted.Value != nil:
		return node{}, root.errorf("has two containers")
	case own.Value != nil:
		return own, nil
	case hosted.Value != nil:
		return hosted, nil
	}
	return node{}, root.errorf("has no container")
}

// Extract returns the credential spec of a document of either schema, as it is
// sent for a new container: one with a SchemaVersion is of the second. What is
// sent for a utility VM has none; ok says whether there is one.
func Extract(doc []byte) (credentialSpec Opaque, ok bool, err error) {
	root, err := parse("document", doc)
	if err != nil {
		return Opaque{}, false, err
	}
	version, err := root.object("SchemaVersion")
	if err != nil {
		return Opaque{}, false, err
	}
	if version.Value == nil {
		return extractV1(root)
	}
	vm, err := root.object("VirtualMachine")
	if err != nil || vm.Value != nil {
		return Opaque{}, false, err
	}
	state, ok, err := extractV2(root)
	return state.CredentialSpec, ok, err
}
