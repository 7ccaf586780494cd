// Package vaultlab is the secret store lab: a real HashiCorp Vault server in dev mode.
//
// The lab needs Linux. It listens on loopback addresses only, and leaves no
// process and no file behind when it is stopped.
package vaultlab
