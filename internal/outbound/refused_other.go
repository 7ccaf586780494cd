//go:build !windows

package outbound

import "syscall"

// errRefused is what a connect that nobody listens for ends with.
const errRefused = syscall.ECONNREFUSED
