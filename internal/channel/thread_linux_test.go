package channel

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// lockThreadAs makes the calling goroutine's thread, and it alone, another
// user's for good.
func lockThreadAs(uid uintptr) {
	runtime.LockOSThread()
	_, _, _ = unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid)
}
