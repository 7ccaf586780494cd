package locked

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	kernel32 = windows.NewLazySystemDLL("kernel32.dll")
	// HRESULT WerRegisterExcludedMemoryBlock(const VOID *address, DWORD size),
	// Windows 10 1703 and later, at most 512 blocks a process.
	// https://learn.microsoft.com/windows/win32/api/werapi/nf-werapi-werregisterexcludedmemoryblock
	werExclude = kernel32.NewProc("WerRegisterExcludedMemoryBlock")
	werInclude = kernel32.NewProc("WerUnregisterExcludedMemoryBlock")
	// BOOL SetProcessWorkingSetSizeEx(HANDLE, SIZE_T min, SIZE_T max, DWORD flags)
	setWorkingSet = kernel32.NewProc("SetProcessWorkingSetSizeEx")
)

// protect locks the pages and leaves them out of crash reports.
func protect(pages []byte) error {
	growWorkingSet()
	address := uintptr(unsafe.Pointer(unsafe.SliceData(pages)))
	if werExclude.Find() == nil {
		_, _, _ = werExclude.Call(address, uintptr(len(pages)))
	}
	if err := windows.VirtualLock(address, uintptr(len(pages))); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}

// unprotect makes the pages ordinary again: Go will use them for something else.
func unprotect(pages []byte) {
	address := uintptr(unsafe.Pointer(unsafe.SliceData(pages)))
	_ = windows.VirtualUnlock(address, uintptr(len(pages)))
	if werInclude.Find() == nil {
		_, _, _ = werInclude.Call(address)
	}
}

// A process may lock a little less than its minimum working set, which is 50
// pages unless it asks for more. 4 MiB are 1,000 secrets: the cache holds 256,
// and what is under way has clones.
const (
	minWorkingSet = 4 << 20
	maxWorkingSet = 1 << 30 // not a limit: the flags of the call leave it soft
)

var growWorkingSet = sync.OnceFunc(func() {
	// QUOTA_LIMITS_HARDWS_MIN_DISABLE | QUOTA_LIMITS_HARDWS_MAX_DISABLE
	const soft = 0x2 | 0x8
	if setWorkingSet.Find() == nil {
		_, _, _ = setWorkingSet.Call(uintptr(windows.CurrentProcess()), minWorkingSet, maxWorkingSet, soft)
	}
})

// NoDump does nothing: on Windows a crash report is made by the system, which
// leaves out what protect has named; a full dump is an administrator's to take.
func NoDump() error { return nil }
