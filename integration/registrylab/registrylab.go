// Package registrylab is the OCI registry lab: CNCF's distribution, with TLS or
// without, with one user or open to all.
//
// The lab needs Linux. It listens on a loopback address only, and leaves no
// process and no file behind when it is stopped. Its certificate authority and
// its password are new with every start.
package registrylab
