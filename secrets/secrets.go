// Package secrets gets the plugin user's credentials from wherever they are
// kept.
//
// A [Ref] says where a secret is, a [Store] fetches what it names, a [Mux]
// chooses the store by the reference's scheme, and a [Cache] in front of it
// sees to it that a hundred containers that start at once cost one fetch.
// [ParseContent] and [ParseKeys] read the forms in which such a secret is
// written down.
//
// The package refuses to know what a credential spec is, who may have a
// credential and what a container is: the agent decides that and asks for one
// reference. The stores are in the subpackages; package secrets/stores is the
// only one that lists them.
//
// # Memory
//
// A password is held as bytes in a [Secret], never as a string, and everything
// here that made a copy of it overwrites the copy when it is done. That
// shortens the time in which a memory dump shows a password; it doesn't rule
// it out. Go's runtime may have moved or copied bytes, a store's SDK may have
// made strings of them, and the operating system may have written pages to a
// swap file. See docs/secrets.md.
package secrets
