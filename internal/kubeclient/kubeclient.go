// Package kubeclient turns the agent's settings for Kubernetes into a client's,
// for everything of ours that talks to an API server.
package kubeclient

// Config says which API server to talk to, and as whom.
type Config struct {
	Kubeconfig string // file; empty: the service account of the pod that the agent runs in
	Context    string // of the kubeconfig; empty: its current one
}
