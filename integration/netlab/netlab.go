// Package netlab gives a program a network of its own, in which the names and
// addresses that it knows lead to where a test has its servers: a cloud's
// metadata service at its link-local address, a vendor's host by its name, port
// 443, all without a change to the machine and as often at once as need be.
//
// What leads there can be cut, and hung up: to the program, a server is then
// gone, or takes connections and says nothing.
//
// It needs Linux and root. It knows addresses and bytes, and nothing of what
// is said over them.
package netlab
