package hcs

import (
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// AddInstance is the argument of HcsModifyServiceSettings that makes a CCG
// instance for a container.
func AddInstance(r ContainerCredentialGuardAddInstanceRequest) ([]byte, error) {
	switch r.Transport {
	case TransportLRPC, TransportHvSocket:
	default:
		return nil, fmt.Errorf("add CCG instance: %q is not a transport: %w", r.Transport, fault.ErrMalformed)
	}
	spec, transport := r.CredentialSpec.Reveal(), string(r.Transport)
	return operation(OperationAddInstance, text{"Id", &r.Id}, text{"CredentialSpec", &spec}, text{"Transport", &transport})
}

// RemoveInstance is the argument of HcsModifyServiceSettings that removes a
// container's CCG instance.
func RemoveInstance(r ContainerCredentialGuardRemoveInstanceRequest) ([]byte, error) {
	return operation(OperationRemoveInstance, text{"Id", &r.Id})
}

func operation(op ContainerCredentialGuardModifyOperation, details ...text) ([]byte, error) {
	for _, d := range details {
		if *d.value == "" {
			return nil, fmt.Errorf("%s: %s is empty: %w", op, d.name, fault.ErrMalformed)
		}
	}
	members, err := pairs(string(op), details)
	if err != nil {
		return nil, err
	}
	settings := jsontree.Compose(
		jsontree.Pair{Name: "Operation", Value: jsontree.Quote(string(op))},
		jsontree.Pair{Name: "OperationDetails", Value: jsontree.Compose(members...)})
	return jsontree.Compose(
		jsontree.Pair{Name: "PropertyType", Value: jsontree.Quote(PropertyTypeContainerCredentialGuard)},
		jsontree.Pair{Name: "Settings", Value: settings}), nil
}

// ParseModification reads an argument of HcsModifyServiceSettings. One that is
// not about CCG has no Settings.
func ParseModification(request []byte) (*ModificationRequest, error) {
	root, err := parse("modification request", request)
	if err != nil {
		return nil, err
	}
	var m ModificationRequest
	if err := root.read(text{"PropertyType", &m.PropertyType}); err != nil {
		return nil, err
	}
	if m.PropertyType != PropertyTypeContainerCredentialGuard {
		return &m, nil
	}
	settings, err := root.object("Settings")
	if err != nil {
		return nil, err
	}
	if settings.Value == nil {
		return nil, settings.errorf("is missing")
	}
	var op string
	if err := settings.read(text{"Operation", &op}); err != nil {
		return nil, err
	}
	details, err := settings.object("OperationDetails")
	if err != nil {
		return nil, err
	}
	if details.Value == nil {
		return nil, details.errorf("is missing")
	}
	m.Settings = &ContainerCredentialGuardOperationRequest{Operation: ContainerCredentialGuardModifyOperation(op)}
	var id, spec, transport string
	switch m.Settings.Operation {
	case OperationAddInstance:
		if err := details.read(text{"Id", &id}, text{"CredentialSpec", &spec}, text{"Transport", &transport}); err != nil {
			return nil, err
		}
		m.Settings.OperationDetails = &ContainerCredentialGuardAddInstanceRequest{
			Id: id, CredentialSpec: NewOpaque(spec), Transport: ContainerCredentialGuardTransport(transport),
		}
	case OperationRemoveInstance:
		if err := details.read(text{"Id", &id}); err != nil {
			return nil, err
		}
		m.Settings.OperationDetails = &ContainerCredentialGuardRemoveInstanceRequest{Id: id}
	default:
		return nil, settings.errorf("has operation %q, which is not known", op)
	}
	return &m, nil
}

// Encode is the query as HcsGetServiceProperties takes it.
func (q ServicePropertyQuery) Encode() []byte {
	types := []byte{'['}
	for i, t := range q.PropertyTypes {
		if i > 0 {
			types = append(types, ',')
		}
		types = append(types, jsontree.Quote(t)...)
	}
	return jsontree.Compose(jsontree.Pair{Name: "PropertyTypes", Value: append(types, ']')})
}

// QueryInstances is the argument of HcsGetServiceProperties that asks for all
// CCG instances.
func QueryInstances() []byte {
	return ServicePropertyQuery{PropertyTypes: []string{PropertyTypeContainerCredentialGuard}}.Encode()
}

// ParseInstances reads HCS's answer to QueryInstances. As hcsshim does, it
// wants exactly one property in it.
func ParseInstances(properties []byte) (*ContainerCredentialGuardSystemInfo, error) {
	list, err := instances(properties)
	if err != nil {
		return nil, err
	}
	info := &ContainerCredentialGuardSystemInfo{}
	for _, n := range list {
		instance, err := n.instance(properties)
		if err != nil {
			return nil, err
		}
		info.Instances = append(info.Instances, instance)
	}
	return info, nil
}

// instances finds the instances in HCS's answer.
func instances(properties []byte) ([]node, error) {
	root, err := parse("service properties", properties)
	if err != nil {
		return nil, err
	}
	all, err := root.elements("Properties")
	switch {
	case err != nil:
		return nil, err
	case len(all) != 1:
		return nil, root.errorf("has %d properties and should have 1", len(all))
	}
	return all[0].elements("Instances")
}

// instance reads a ContainerCredentialGuardInstance.
func (n node) instance(doc []byte) (ContainerCredentialGuardInstance, error) {
	var i ContainerCredentialGuardInstance
	if err := n.read(text{"Id", &i.Id}); err != nil {
		return i, err
	}
	guard, err := n.object("CredentialGuard")
	if err != nil {
		return i, err
	}
	if guard.Value != nil {
		state, err := guard.state()
		if err != nil {
			return i, err
		}
		i.CredentialGuard = &state
	}
	socket, err := n.object("HvSocketConfig")
	if err != nil || socket.Value == nil {
		return i, err
	}
	i.HvSocketConfig = &ContainerCredentialGuardHvSocketServiceConfig{}
	if err := socket.read(text{"ServiceId", &i.HvSocketConfig.ServiceId}); err != nil {
		return i, err
	}
	service, err := socket.object("ServiceConfig")
	if err != nil || service.Value == nil {
		return i, err
	}
	c := &HvSocketServiceConfig{}
	i.HvSocketConfig.ServiceConfig = c
	if err := service.read(text{"BindSecurityDescriptor", &c.BindSecurityDescriptor}, text{"ConnectSecurityDescriptor", &c.ConnectSecurityDescriptor}); err != nil {
		return i, err
	}
	if c.AllowWildcardBinds, err = service.flag(doc, "AllowWildcardBinds"); err != nil {
		return i, err
	}
	c.Disabled, err = service.flag(doc, "Disabled")
	return i, err
}

// Instance returns the instance of a container, fault.ErrNotFound if it has
// none.
func (s *ContainerCredentialGuardSystemInfo) Instance(id string) (*ContainerCredentialGuardInstance, error) {
	for i := range s.Instances {
		if s.Instances[i].Id == id {
			return &s.Instances[i], nil
		}
	}
	return nil, fmt.Errorf("CCG instance of container %q: %w", id, fault.ErrNotFound)
}
