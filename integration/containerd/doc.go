// Package containerd holds the suites about a real containerd with the shim
// wrapper, the agent's watch, or both: what a container that asks for a gMSA
// finds in its bundle, what ctr prints when it does not start, and that one that
// does not ask never notices the agent. They need Linux and the containerd lab.
package containerd
