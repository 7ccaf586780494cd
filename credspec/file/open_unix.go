//go:build unix

package file

import "syscall"

// openFlags lets the open of a pipe without a writer return at once, and keeps
// a terminal from becoming the agent's.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOCTTY

// malformedName reports whether the system says that a name cannot be one:
// too long, or links in a circle.
func malformedName(code syscall.Errno) bool {
	return code == syscall.ENAMETOOLONG || code == syscall.ELOOP || code == syscall.EINVAL
}
