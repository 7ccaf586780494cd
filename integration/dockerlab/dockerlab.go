// Package dockerlab runs dockerd and Docker's command line: real containers on
// this machine, in two seconds, for the suites about what stands between Docker
// and the agent. There are two of them: Debian's, with Debian's command line and
// compose, and a current one that is built from Docker's own module.
//
// Everything is in folders and namespaces of its own: processes, mounts, network.
// /run and /etc are the lab's as well, since dockerd reads its plugins from
// there and leaves files. What the machine has of Docker is neither used nor
// touched. Containers outlive a dockerd that is killed, and none outlives the lab.
//
// Nothing in these containers is Windows. On Linux, Docker takes the security
// option credentialspec for an unknown one and refuses it when a container is
// created, after its authorization plugins were asked; on Windows it keeps it,
// and reads the credential spec at every start. What a suite can show here is
// what a plugin was asked and what the user reads, and what lies in the folders.
package dockerlab

// Image is the name of the image that every lab has: a static busybox. Its
// containers run until they are killed if they are given no command.
const Image = "lab.gmsa-agent.invalid/busybox:1"

// Flavour is a release of dockerd.
type Flavour string

// The releases that there are.
const (
	Debian  Flavour = "debian"  // 20.10
	Current Flavour = "current" // the newest that Docker's module has
)

// Flavours are all of them.
var Flavours = []Flavour{Debian, Current}
