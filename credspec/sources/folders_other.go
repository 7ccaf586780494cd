//go:build !windows

package sources

// DefaultFolders is the folder beside the agent's configuration.
func DefaultFolders() []string { return []string{"/etc/gmsa-agent/credential-specs"} }
