package hcs

// The types below are those of Microsoft's HCS schema reference
// (https://learn.microsoft.com/virtualization/api/hcs/schemareference), new in
// schema 2.1. Fields have the reference's names; a text that must not be shown
// is an Opaque.

// PropertyTypeContainerCredentialGuard names CCG in service calls.
const PropertyTypeContainerCredentialGuard = "ContainerCredentialGuard"

// ContainerCredentialGuardTransport is how a container reaches its instance.
type ContainerCredentialGuardTransport string

const (
	// TransportLRPC is for process-isolated containers.
	TransportLRPC ContainerCredentialGuardTransport = "LRPC"
	// TransportHvSocket is for containers in a utility VM.
	TransportHvSocket ContainerCredentialGuardTransport = "HvSocket"
)

// ContainerCredentialGuardState is an instance as a container's document has
// it.
type ContainerCredentialGuardState struct {
	Cookie         Opaque // lets its bearer speak for the container
	RpcEndpoint    string
	Transport      ContainerCredentialGuardTransport
	CredentialSpec Opaque // the whole document
}

// ContainerCredentialGuardInstance is what HCS keeps for one container.
type ContainerCredentialGuardInstance struct {
	Id              string // the container's
	CredentialGuard *ContainerCredentialGuardState
	HvSocketConfig  *ContainerCredentialGuardHvSocketServiceConfig // only with TransportHvSocket
}

// ContainerCredentialGuardHvSocketServiceConfig is the entry that the utility
// VM's HvSocket service table needs.
type ContainerCredentialGuardHvSocketServiceConfig struct {
	ServiceId     string // a GUID
	ServiceConfig *HvSocketServiceConfig
}

// HvSocketServiceConfig says who may use an HvSocket service.
type HvSocketServiceConfig struct {
	BindSecurityDescriptor    string // SDDL
	ConnectSecurityDescriptor string // SDDL
	AllowWildcardBinds        bool
	Disabled                  bool
}

// ContainerCredentialGuardSystemInfo lists the instances of all containers of
// the host, cookies and all.
type ContainerCredentialGuardSystemInfo struct {
	Instances []ContainerCredentialGuardInstance
}

// ContainerCredentialGuardModifyOperation is what a request does.
type ContainerCredentialGuardModifyOperation string

const (
	// OperationAddInstance comes with a ContainerCredentialGuardAddInstanceRequest.
	OperationAddInstance ContainerCredentialGuardModifyOperation = "AddInstance"
	// OperationRemoveInstance comes with a ContainerCredentialGuardRemoveInstanceRequest.
	OperationRemoveInstance ContainerCredentialGuardModifyOperation = "RemoveInstance"
)

// ContainerCredentialGuardAddInstanceRequest makes an instance.
type ContainerCredentialGuardAddInstanceRequest struct {
	Id             string // the container's
	CredentialSpec Opaque
	Transport      ContainerCredentialGuardTransport
}

// ContainerCredentialGuardRemoveInstanceRequest removes one.
type ContainerCredentialGuardRemoveInstanceRequest struct {
	Id string // the container's
}

// ContainerCredentialGuardOperationRequest is one of the two.
type ContainerCredentialGuardOperationRequest struct {
	Operation ContainerCredentialGuardModifyOperation
	// OperationDetails is a *ContainerCredentialGuardAddInstanceRequest or a
	// *ContainerCredentialGuardRemoveInstanceRequest, as Operation says.
	OperationDetails any
}

// ModificationRequest is the argument of HcsModifyServiceSettings.
type ModificationRequest struct {
	PropertyType string
	Settings     *ContainerCredentialGuardOperationRequest // nil if PropertyType is another one
}

// ServicePropertyQuery is the argument of HcsGetServiceProperties.
type ServicePropertyQuery struct {
	PropertyTypes []string
}
