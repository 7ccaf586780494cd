//lint:file-ignore U1000 the lists for pipes stand here with the others, and only Windows reads them

package channel

import (
	"io/fs"
	"strings"
)

// This file holds every access list of the project's channels. A list is given
// to the call that creates the endpoint, never set afterwards. The document on
// the attack surface quotes the lists literally, and a test compares.

// Well-known SIDs, as the lists of allowed users spell them.
const (
	sidSystem         = "S-1-5-18"
	sidLocalService   = "S-1-5-19"
	sidNetworkService = "S-1-5-20"
	sidService        = "S-1-5-6"
	sidAdministrators = "S-1-5-32-544"
)

// The rights that a list gives on a pipe.
const (
	// pipeServe is everything, FILE_CREATE_PIPE_INSTANCE among it: to serve.
	pipeServe = "FA"
	// pipeCall is what Dial asks for, [pipeCallRights]: to be a client and no
	// more. FILE_CREATE_PIPE_INSTANCE (0x4, which GENERIC_WRITE would bring) is
	// not in it, else a client could serve an instance of its own under the
	// agent's name and be given other clients' grant tokens.
	pipeCall = "0x120083"
)

// pipeCallRights is pipeCall as a number: FILE_READ_DATA, FILE_WRITE_DATA,
// FILE_READ_ATTRIBUTES, READ_CONTROL (to see the pipe's owner) and SYNCHRONIZE.
const pipeCallRights = 0x1 | 0x2 | 0x80 | 0x20000 | 0x100000

// pipeEntry allows one trustee, in SDDL's spelling, something on a pipe.
type pipeEntry struct{ trustee, rights string }

// pipeAccess says for each audience who may do what, and why.
var pipeAccess = map[Audience][]pipeEntry{
	Control: {
		{"SY", pipeServe}, // the agent's service, and containerd's, below which the shim wrapper runs
		{"BA", pipeServe}, // administrators: the CLI; and the agent itself in the foreground
	},
	Gate: {
		{"SY", pipeServe}, // the gate's service, and dockerd's
		{"BA", pipeServe}, // either of them in the foreground
	},
	Plugin: {
		{"SY", pipeServe}, // the agent's service; and CCG's plugin host, if CCG runs as SYSTEM
		{"BA", pipeServe}, // the agent in the foreground. As callers, the list of allowed users refuses them
		// Microsoft does not document the account of CCG and hence of its
		// plugin host. Its own plugin's registration lets SYSTEM and SERVICE
		// launch and call it, and another vendor's runs as NETWORK SERVICE.
		{"LS", pipeCall}, // CCG's plugin host, if CCG runs as LOCAL SERVICE
		{"NS", pipeCall}, // the same for NETWORK SERVICE
		{"SU", pipeCall}, // SERVICE: the same for a virtual account, NT SERVICE\...
	},
}

// pipeOwners are who may own a pipe that Dial trusts. To make somebody the
// owner takes being it, so the owner tells who created the name; and the
// lists above let nobody else create a further instance of it.
var pipeOwners = []string{sidSystem, sidAdministrators}

// sddl is an audience's access list in SDDL. The owner is named: it makes the
// creation fail for whoever may not be it, and Dial relies on it. D:P keeps
// inherited entries out.
func sddl(a Audience) string {
	var b strings.Builder
	b.WriteString("O:BAG:BAD:P")
	for _, e := range pipeAccess[a] {
		b.WriteString("(A;;" + e.rights + ";;;" + e.trustee + ")")
	}
	return b.String()
}

// pluginUsers are the accounts that CCG's plugin host may run as, for the same
// reasons as in pipeAccess. Administrators are not among them: CCG is none.
var pluginUsers = []string{sidSystem, sidLocalService, sidNetworkService, sidService}

// controlUsers are the accounts that may use the control channel, or the gate's,
// on Windows.
var controlUsers = []string{sidSystem, sidAdministrators}

const (
	// socketMode lets only the agent's own user (root, as a service) connect.
	// All audiences have it: dockerd runs as root; there is no CCG on unix, and
	// whoever plays its part (a lab, a test) runs as the agent's user or as root.
	socketMode fs.FileMode = 0o600
	// socketFolderMode is that of a folder which Listen makes for a socket.
	socketFolderMode fs.FileMode = 0o700
)
