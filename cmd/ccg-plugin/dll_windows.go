//go:build cgo

package main

/*
#cgo LDFLAGS: -lole32 -luuid -static
#include <objbase.h>
#include "edge.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

// failures tells the event log of calls that failed.
var failures ccgplugin.Reporter

// goGetPasswordCredentials is the whole of GetPasswordCredentials but for
// COM's own duties. It writes to out only together with S_OK.
//
//export goGetPasswordCredentials
func goGetPasswordCredentials(input *C.WCHAR, units C.size_t, out *C.credentials) (result C.HRESULT) {
	// A panic must not leave Go: it would end the plugin host, and with it
	// every other container's call.
	defer func() {
		if p := recover(); p != nil {
			// What was panicked with may hold a secret: only its type is told.
			result = failed(fmt.Errorf("a fault of the plugin was caught (%T)", p))
		}
	}()
	text := string(utf16.Decode(unsafe.Slice((*uint16)(input), int(units))))
	release, err := ccgplugin.Redeem(context.Background(), ccgplugin.DialAgent, text)
	if err != nil {
		return failed(err)
	}
	made, err := ccgplugin.Marshal(taskMemory{}, &release)
	if err != nil {
		return failed(err)
	}
	out.domain = C.LPWSTR(unsafe.Pointer(made.Domain))
	out.user = C.LPWSTR(unsafe.Pointer(made.User))
	out.password = C.LPWSTR(unsafe.Pointer(made.Password))
	return C.S_OK
}

// failed tells of a failure and is its result.
func failed(err error) C.HRESULT {
	failures.Report(err)
	return com(ccgplugin.Result(err))
}

// goRefused tells of a call that com.c has refused, and returns its result.
//
//export goRefused
func goRefused(result C.HRESULT) (same C.HRESULT) {
	defer func() { _ = recover() }()
	same = result
	failed(&ccgplugin.Error{Result: ccgplugin.HRESULT(uint32(result)), Err: errors.New("the call itself")})
	return same
}

// goRegister registers the DLL that is loaded at module.
//
//export goRegister
func goRegister(module C.uintptr_t) (result C.HRESULT) {
	defer recovered(&result)
	path := make([]uint16, windows.MAX_LONG_PATH)
	n, err := windows.GetModuleFileName(windows.Handle(module), &path[0], uint32(len(path)))
	if err != nil {
		return systemResult(err)
	}
	return systemResult(ccgplugin.Register(ccgplugin.LocalMachine(), windows.UTF16ToString(path[:n])))
}

// goUnregister takes the registration back, whichever DLL it is for.
//
//export goUnregister
func goUnregister() (result C.HRESULT) {
	defer recovered(&result)
	return systemResult(ccgplugin.Unregister(ccgplugin.LocalMachine()))
}

func recovered(result *C.HRESULT) {
	if recover() != nil {
		*result = com(ccgplugin.EUnexpected)
	}
}

// com is the result as C has it, signed.
func com(h ccgplugin.HRESULT) C.HRESULT { return C.HRESULT(int32(h)) }

// systemResult is HRESULT_FROM_WIN32 of the Windows error in err: registration
// is read by regsvr32, which puts it into words.
func systemResult(err error) C.HRESULT {
	if err == nil {
		return C.S_OK
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok && errno != 0 && errno < 1<<16 {
		return com(ccgplugin.HRESULT(0x8007<<16 | errno))
	}
	return com(ccgplugin.EUnexpected)
}

// taskMemory is the COM task allocator.
type taskMemory struct{}

func (taskMemory) Alloc(size uintptr) unsafe.Pointer {
	return unsafe.Pointer(C.CoTaskMemAlloc(C.SIZE_T(size)))
}

func (taskMemory) Free(p unsafe.Pointer) { C.CoTaskMemFree(C.LPVOID(p)) }

// main is never called in a DLL; a build without -buildmode=c-shared has it.
func main() { unusable("built as a program; build it with -buildmode=c-shared") }
