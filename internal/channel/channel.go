// Package channel opens the agent's two local channels and says who is at the
// other end: named pipes on Windows, unix sockets elsewhere.
//
// The control channel is for administrators (the CLI, the shim wrapper); the
// plugin channel is for CCG's plugin host only. Each is created with its
// access list in place, a listener's connections carry the [Peer] that the
// kernel vouches for, and a dialler checks that the server is the agent and
// not somebody who sat on the name.
package channel
