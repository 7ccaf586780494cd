package ccgdouble

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// comClasses is where CCG looks plugins up. Only SYSTEM and administrators may write there.
const comClasses = `SYSTEM\CurrentControlSet\Control\CCG\COMClasses\`

// iidCcgDomainAuthCredentials is ICcgDomainAuthCredentials:
// https://learn.microsoft.com/windows/win32/api/ccgplugins/nn-ccgplugins-iccgdomainauthcredentials
var iidCcgDomainAuthCredentials = windows.GUID{
	Data1: 0x6ecda518, Data2: 0x2010, Data3: 0x4437,
	Data4: [8]byte{0x8b, 0xc3, 0x46, 0xe7, 0x52, 0xb7, 0xb1, 0x72},
}

// Slots of the interface's table of functions.
const (
	slotRelease                = 2
	slotGetPasswordCredentials = 3
)

// clsctxLocalServer asks for a process of the class's own.
const clsctxLocalServer = 0x4

var coCreateInstance = windows.NewLazySystemDLL("ole32.dll").NewProc("CoCreateInstance")

// COM is the System of Windows.
type COM struct{}

// FindClass implements System.
func (COM) FindClass(guid string) error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, comClasses+guid, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return fmt.Errorf(`object was not found in registry (HKLM\%s%s)`, comClasses, guid)
	}
	if err != nil {
		return err
	}
	return key.Close()
}

// object is a COM interface pointer.
type object struct {
	functions *[slotGetPasswordCredentials + 1]uintptr
}

// Activate implements System. The calling goroutine keeps its thread, which has
// entered COM.
func (COM) Activate(guid string) (Plugin, error) {
	class, err := windows.GUIDFromString(guid)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	if err := windows.CoInitializeEx(0, windows.COINIT_MULTITHREADED); err != nil && !errors.Is(err, windows.Errno(windows.S_FALSE)) {
		return nil, err
	}
	leave, err := oneAtATime()
	if err != nil {
		return nil, err
	}
	defer leave()
	var o *object
	hr, _, _ := coCreateInstance.Call(uintptr(unsafe.Pointer(&class)), 0, clsctxLocalServer,
		uintptr(unsafe.Pointer(&iidCcgDomainAuthCredentials)), uintptr(unsafe.Pointer(&o)))
	if int32(hr) < 0 {
		return nil, failed(hr)
	}
	return o, nil
}

// activation is a mutex that all CCG doubles of the host share. Wine has no
// service that activates classes: clients find a class's server by the name of
// a pipe, and of two that start one at the same time, one gets nothing.
const activation = `Local\gmsa-agent-ccgdouble-activation`

// oneAtATime waits until no other CCG double activates a plugin.
func oneAtATime() (leave func(), err error) {
	name, err := windows.UTF16PtrFromString(activation)
	if err != nil {
		return nil, err
	}
	mutex, err := windows.CreateMutex(nil, false, name)
	if err != nil && !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return nil, err
	}
	event, err := windows.WaitForSingleObject(mutex, windows.INFINITE)
	if err != nil || event != windows.WAIT_OBJECT_0 && event != windows.WAIT_ABANDONED {
		return nil, errors.Join(fmt.Errorf("wait for other activations: %d", event), err, windows.CloseHandle(mutex))
	}
	return func() { _ = errors.Join(windows.ReleaseMutex(mutex), windows.CloseHandle(mutex)) }, nil
}

// GetPasswordCredentials implements Plugin.
func (o *object) GetPasswordCredentials(input string) (Credentials, int32, error) {
	in, err := windows.UTF16PtrFromString(input)
	if err != nil {
		return Credentials{}, 0, err
	}
	var domain, user, password *uint16
	hr, _, _ := syscall.SyscallN(o.functions[slotGetPasswordCredentials], uintptr(unsafe.Pointer(o)), uintptr(unsafe.Pointer(in)),
		uintptr(unsafe.Pointer(&domain)), uintptr(unsafe.Pointer(&user)), uintptr(unsafe.Pointer(&password)))
	c := Credentials{Domain: string(take(domain)), User: string(take(user)), Password: take(password)}
	if int32(hr) < 0 {
		return c, int32(hr), failed(hr)
	}
	if domain == nil || user == nil || password == nil {
		return c, int32(hr), errors.New("it succeeded and returned no credentials")
	}
	return c, int32(hr), nil
}

// Release implements Plugin.
func (o *object) Release() {
	_, _, _ = syscall.SyscallN(o.functions[slotRelease], uintptr(unsafe.Pointer(o))) // the remaining count is nobody's business
}

// take copies a string that the callee allocated, as UTF-8, and wipes and frees it.
func take(s *uint16) []byte {
	if s == nil {
		return nil
	}
	var n int
	for p := unsafe.Pointer(s); *(*uint16)(p) != 0; p = unsafe.Add(p, 2) {
		n++
	}
	wide := unsafe.Slice(s, n)
	runes := utf16.Decode(wide)
	out := make([]byte, 0, n*utf8.UTFMax) // never grown: no copy is left behind
	for _, r := range runes {
		out = utf8.AppendRune(out, r)
	}
	clear(runes)
	clear(wide)
	windows.CoTaskMemFree(unsafe.Pointer(s))
	return out
}

func failed(hr uintptr) error {
	return fmt.Errorf("HRESULT 0x%08x (%w)", uint32(hr), windows.Errno(uint32(hr)))
}
