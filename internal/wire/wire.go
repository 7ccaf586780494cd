// Package wire is the protocol of the agent's two local channels.
//
// Both channels carry frames: a fixed header and a bounded payload. The plugin
// channel knows one exchange, redeem, in a binary form without JSON, so that
// the CCG plugin stays small and the password never becomes a string. The
// control channel carries one JSON request and one or more JSON answers.
//
//	offset  size  what
//	0       3     "GMS"
//	3       1     version (1)
//	4       1     kind
//	5       4     payload length, big endian
//	9       n     payload
//
// The package knows bytes. It does not know who is talking (package channel)
// or what the answer should be (package agent).
package wire
