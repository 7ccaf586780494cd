//go:build !windows

package daemon

// hostIsDomainMember is false: only Windows' HCS can use a host's own account.
func hostIsDomainMember() (bool, error) { return false, nil }
