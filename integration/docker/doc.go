// Package docker holds the suites about plain Docker: the real command line and
// dockerd, with the agent and the gate as processes. What a user reads who starts
// a container that may have its gMSA, or may not, or while the agent is away; what
// lies in Docker's folder meanwhile; what the trail says of a container's life; and
// what the folder's content is good for, up to a Kerberos ticket.
//
// On Linux they need root and the Docker lab, and run against each dockerd that
// the lab has. There Docker refuses the option credentialspec of any container
// itself, after the gate was asked: containers are started that ask by their
// label, and of the option it is the gate's decision that is looked at. On Windows
// they run against the host's Docker, see machine_windows_test.go, and containers
// ask by the option. Nobody has done that yet.
package docker
