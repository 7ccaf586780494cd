//go:build !windows

package plugindll

// servicesCanRead is of no concern where there are no services of Windows.
func servicesCanRead(string) (bool, error) { return true, nil }
