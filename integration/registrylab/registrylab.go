// Package registrylab is the OCI registry lab: CNCF's distribution.
//
// The lab needs Linux. It listens on loopback addresses only, and leaves no
// process and no file behind when it is stopped.
package registrylab
