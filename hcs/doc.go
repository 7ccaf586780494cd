// Package hcs knows the part of the Host Compute Service (HCS) that belongs to
// Container Credential Guard (CCG): where a credential spec stands in the
// documents that runtimes send for a new container, and what the service's
// calls about CCG instances say.
//
// A runtime hands a container's credential spec to HCS in one of two ways. In
// the first version of the schema it is the member Credentials of the
// container's configuration, and HCS does the rest ([InjectV1], [ExtractV1]).
// From version 2.1 on, the runtime first adds a CCG instance for the container
// ([AddInstance]), asks for its state ([QueryInstances], [ParseInstances]) and
// puts that into the container's document ([InjectV2], [ExtractV2]); it must
// remove the instance when the container is gone ([RemoveInstance]), since
// nobody else does.
//
// The types are named as Microsoft's HCS schema reference names them. They are
// written here because hcsshim keeps its own internal; of hcsshim is used what
// is public: the first schema's configuration, the builds of Windows, and the
// list of compute systems.
//
// Everything that reads or writes a document works on every platform and keeps
// what it does not know as it was. The package refuses to know what is in a
// credential spec, which container may have one, and what an instance's state
// is good for. Cookies and credential specs never print ([Opaque]).
package hcs
