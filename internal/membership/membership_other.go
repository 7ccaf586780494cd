//go:build !windows

package membership

// OfDomain is false: only Windows' HCS can use a host's own account.
func OfDomain() (bool, error) { return false, nil }
