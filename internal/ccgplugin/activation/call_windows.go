package activation

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

// Slots of ICcgDomainAuthCredentials' table of functions; the first three are
// IUnknown's.
const (
	slotRelease                = 2
	slotGetPasswordCredentials = 3
)

// clsctxLocalServer asks for a process of the class's own.
const clsctxLocalServer = 0x4

// procCoCreateInstance makes an object.
//
//	HRESULT CoCreateInstance([in] REFCLSID rclsid, [in] LPUNKNOWN pUnkOuter, [in] DWORD dwClsContext,
//		[in] REFIID riid, [out] LPVOID *ppv);
//
// https://learn.microsoft.com/windows/win32/api/combaseapi/nf-combaseapi-cocreateinstance
var procCoCreateInstance = windows.NewLazySystemDLL("ole32.dll").NewProc("CoCreateInstance")

// object is a COM interface pointer.
type object struct {
	functions *[slotGetPasswordCredentials + 1]uintptr
}

// call does all of it on one thread, which has entered COM and leaves it again.
func call(input string) (Answer, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := windows.CoInitializeEx(0, windows.COINIT_MULTITHREADED); err != nil && !errors.Is(err, windows.Errno(windows.S_FALSE)) {
		return Answer{}, fmt.Errorf("enter COM: %w", err)
	}
	defer windows.CoUninitialize()
	o, err := activate()
	if err != nil {
		return Answer{}, err
	}
	defer o.release()
	return o.getPasswordCredentials(input)
}

func activate() (*object, error) {
	class, err := windows.GUIDFromString(ccgplugin.CLSID)
	if err != nil {
		return nil, err
	}
	iid, err := windows.GUIDFromString(ccgplugin.IID)
	if err != nil {
		return nil, err
	}
	var o *object
	hr, _, _ := procCoCreateInstance.Call(uintptr(unsafe.Pointer(&class)), 0, clsctxLocalServer,
		uintptr(unsafe.Pointer(&iid)), uintptr(unsafe.Pointer(&o)))
	if int32(hr) < 0 {
		return nil, failed("activate the plugin", hr)
	}
	return o, nil
}

// getPasswordCredentials makes the call.
//
//	HRESULT GetPasswordCredentials([in] LPCWSTR pluginInput, [out] LPWSTR *domainName,
//		[out] LPWSTR *username, [out] LPWSTR *password);
//
// https://learn.microsoft.com/windows/win32/api/ccgplugins/nf-ccgplugins-iccgdomainauthcredentials-getpasswordcredentials
func (o *object) getPasswordCredentials(input string) (Answer, error) {
	in, err := windows.UTF16FromString(input)
	if err != nil {
		return Answer{}, fmt.Errorf("the plugin input: %w", err)
	}
	defer clear(in) // a grant is a secret
	var domain, user, password *uint16
	hr, _, _ := syscall.SyscallN(o.functions[slotGetPasswordCredentials], uintptr(unsafe.Pointer(o)), uintptr(unsafe.Pointer(&in[0])),
		uintptr(unsafe.Pointer(&domain)), uintptr(unsafe.Pointer(&user)), uintptr(unsafe.Pointer(&password)))
	wipe(password)
	a := Answer{Result: ccgplugin.HRESULT(uint32(hr)), Domain: take(domain), User: take(user)}
	if int32(hr) >= 0 {
		if domain == nil || user == nil || password == nil {
			return a, errors.New("call the plugin: it succeeded and returned no credentials")
		}
		return a, nil
	}
	if _, ours := a.Result.Explain(); !ours {
		return a, failed("call the plugin", hr)
	}
	return a, nil
}

func (o *object) release() {
	_, _, _ = syscall.SyscallN(o.functions[slotRelease], uintptr(unsafe.Pointer(o))) // the remaining count is nobody's business
}

// wide is a string of the COM task allocator, without its terminator.
func wide(s *uint16) []uint16 {
	var n int
	for p := unsafe.Pointer(s); *(*uint16)(p) != 0; p = unsafe.Add(p, unsafe.Sizeof(*s)) {
		n++
	}
	return unsafe.Slice(s, n)
}

// wipe overwrites a string that the plugin allocated, and frees it.
func wipe(s *uint16) {
	if s == nil {
		return
	}
	clear(wide(s))
	windows.CoTaskMemFree(unsafe.Pointer(s))
}

func take(s *uint16) string {
	if s == nil {
		return ""
	}
	text := string(utf16.Decode(wide(s)))
	windows.CoTaskMemFree(unsafe.Pointer(s))
	return text
}

func failed(op string, hr uintptr) error {
	return &Error{Op: op, Result: ccgplugin.HRESULT(uint32(hr)), System: windows.Errno(uint32(hr)).Error()}
}
