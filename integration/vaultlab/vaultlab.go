// Package vaultlab is the lab of HashiCorp Vault: a real server, initialised and
// unsealed, over TLS, with the plugins for Active Directory, LDAP and Kubernetes
// that Vault's authors publish.
//
// It is Vault's minimal build, which has the KV engine and the auth methods
// token, AppRole, JWT and TLS certificate inside; what it lacks runs as the
// external plugins that they are in a full build's sources.
//
// The lab needs Linux and no root. It listens on a loopback address only, with
// keys and certificates of its own each time, several may run at once, and it
// leaves no process and no file behind when it is stopped.
package vaultlab
