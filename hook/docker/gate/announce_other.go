//go:build !windows

package gate

// pluginFolder is empty: dockerd finds the socket where it is by default.
func pluginFolder() string { return "" }
