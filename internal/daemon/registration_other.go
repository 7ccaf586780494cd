//go:build !windows

package daemon

// pluginRegistration has nothing to say: CCG, and with it the registration of
// its plugins, exists on Windows only.
func pluginRegistration() (string, error) { return "", nil }
