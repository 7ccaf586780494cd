// Package stores holds the suites about the secret stores as a whole: a real
// agent, with each store's real server, or its double where there is none to be
// had, from a container that asks to a Kerberos ticket of its gMSA; the outcome
// that docs/stores promises when a store is stopped, slow, throttled, refuses or
// lies; and that nothing secret shows anywhere, whatever an SDK is told to log.
//
// The agent runs in a network of its own ([netlab]), so that it finds a cloud's
// hosts and its metadata service where they are in the cloud. It is the program
// that users have, unchanged.
//
// The suites need Linux and root; each store's part is skipped, with the
// reason, where its lab is not set up.
//
// [netlab]: https://pkg.go.dev/github.com/gmsa-agent/gmsa-agent/integration/netlab
package stores
