package stores

// portal is what somebody else answers with, and says that all is well.
const portal = "<!doctype html><title>Sign in</title><p>to use this network"

// condition is what is the matter with a store's server.
type condition string

// The conditions that docs/stores has the outcomes of, but for what a server
// answers as if it were in order.
const (
	healthy   condition = "healthy"
	stopped   condition = "stopped"                 // nobody takes connections
	slow      condition = "slow"                    // nobody answers
	throttled condition = "throttled"               // asks to be asked later
	refuses   condition = "refuses"                 // the agent may not read the secret
	half      condition = "half an answer"          // the connection ends within one
	foreign   condition = "another's page"          // somebody else answers, as a proxy with a page to sign in does
	untrusted condition = "certificate not trusted" // it is not signed by who signs them
)
