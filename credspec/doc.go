// Package credspec knows credential specs: the JSON documents that name an
// Active Directory domain and the group managed service accounts (gMSAs) that
// a container may use.
//
// It says where a document is ([Ref]), gets it ([Source], [Mux]), reads it
// ([Spec], [Parse]), says everything that is wrong with it ([Validate]) and
// puts a HostAccountConfig into it without changing anything else
// ([SetHostAccountConfig]). Documents in Kubernetes manifests are read by the
// subpackage manifest. The sources themselves are in the subpackages;
// sources is the one that lists them.
//
// The package refuses to know who may use a document, what a secret is, and
// how a document reaches the Host Compute Service. A PluginInput is text to it.
//
// # One meaning
//
// A document is read by several programs: by this one, which decides on what
// it reads, and by Windows' ccg.exe, which acts on what it reads. How tolerant
// the latter is about repeated members, case and the like is not documented.
// So a document that two readers could take differently is refused here, and
// not just warned about: what was decided on must be what is acted on.
package credspec
