// Package bundle reads what an OCI bundle's config.json asks of the agent, and
// writes the admitted document into it.
//
// The file is read by others after us: Microsoft's runhcs shim, runc. They
// decode it with Go's encoding/json, which takes keys in any case, lets the last
// duplicate win, merges duplicate objects and stops at the end of the first
// value. What this package sees must be what they see, or a container could ask
// for a gMSA in a spelling that only they understand. So [Read] decodes with the
// same package into types of the same shape, and fails only where they fail.
//
// The package knows two places of the file, annotations and
// windows.credentialSpec. It refuses to know the rest of the OCI specification:
// what it does not own stays as it is, byte for byte.
package bundle

// MaxSize bounds a config.json, in bytes: 16 MiB. containerd's gRPC server takes
// no larger message (its max_recv_message_size by default), and a container's
// spec travels in one.
const MaxSize = 16 << 20
