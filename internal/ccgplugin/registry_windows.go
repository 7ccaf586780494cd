package ccgplugin

import (
	"cmp"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// LocalMachine is this host's registry. Its errors wrap [fault.ErrDenied]
// where the caller may not do what it asked, and [windows.Errno].
func LocalMachine() Registry { return localMachine{} }

type localMachine struct{}

// view is the 64-bit one: CCG is a 64-bit program.
const view = registry.WOW64_64KEY

func (localMachine) Exists(key string) (bool, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|view)
	switch {
	case err == nil:
		return true, k.Close()
	case errors.Is(err, registry.ErrNotExist):
		return false, nil
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return true, nil
	}
	return false, registryError("open", err)
}

func (localMachine) Create(key string) error {
	// Making a key is a right on its parent.
	parent, _ := lastPart(key)
	return registryError("create", privileged(parent, func(options uint32) error {
		k, err := openOrCreate(key, registry.QUERY_VALUE, options)
		if err != nil {
			return err
		}
		return k.Close()
	}))
}

// openOrCreate makes a key, or opens it if it is there.
//
//	LSTATUS RegCreateKeyExW([in] HKEY hKey, [in] LPCWSTR lpSubKey, DWORD Reserved,
//		[in, optional] LPWSTR lpClass, [in] DWORD dwOptions, [in] REGSAM samDesired,
//		[in, optional] const LPSECURITY_ATTRIBUTES lpSecurityAttributes,
//		[out] PHKEY phkResult, [out, optional] LPDWORD lpdwDisposition);
//
// https://learn.microsoft.com/windows/win32/api/winreg/nf-winreg-regcreatekeyexw
func openOrCreate(key string, access, options uint32) (registry.Key, error) {
	name, err := windows.UTF16PtrFromString(key)
	if err != nil {
		return 0, err
	}
	var k registry.Key
	result, _, _ := procRegCreateKeyExW.Call(uintptr(registry.LOCAL_MACHINE), uintptr(unsafe.Pointer(name)), 0, 0,
		uintptr(options), uintptr(access|view), 0, uintptr(unsafe.Pointer(&k)), 0)
	if result != 0 {
		return 0, windows.Errno(result)
	}
	return k, nil
}

// toChange opens a key that is there to change it.
func toChange(key string, access, options uint32) (registry.Key, error) {
	if options == plainly {
		return registry.OpenKey(registry.LOCAL_MACHINE, key, access|view)
	}
	if exists, err := (localMachine{}).Exists(key); err != nil || !exists {
		return 0, cmp.Or(err, error(registry.ErrNotExist))
	}
	return openOrCreate(key, access, options)
}

func (localMachine) List(key string) (values, subkeys []string, err error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|registry.ENUMERATE_SUB_KEYS|view)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, registryError("open", err)
	}
	defer k.Close()
	if values, err = k.ReadValueNames(-1); err == nil {
		subkeys, err = k.ReadSubKeyNames(-1)
	}
	return values, subkeys, registryError("list", err)
}

func (localMachine) Get(key, name string) (Value, bool, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|view)
	if errors.Is(err, registry.ErrNotExist) {
		return Value{}, false, nil
	}
	if err != nil {
		return Value{}, false, registryError("open", err)
	}
	defer k.Close()
	// Far more than any value of ours; a longer one is foreign and is refused.
	buf := make([]byte, 64<<10)
	n, kind, err := k.GetValue(name, buf)
	if errors.Is(err, registry.ErrNotExist) {
		return Value{}, false, nil
	}
	if err != nil {
		return Value{}, false, registryError("read", err)
	}
	return Value{kind, buf[:n:n]}, true, nil
}

func (localMachine) Set(key, name string, v Value) error {
	return registryError("write", privileged(key, func(options uint32) error {
		k, err := toChange(key, registry.SET_VALUE, options)
		if err != nil {
			return err
		}
		defer k.Close()
		return setRaw(k, name, v)
	}))
}

// setRaw writes a value of any type; the registry package only knows typed ones.
func setRaw(k registry.Key, name string, v Value) error {
	name16, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	var data *byte
	if len(v.Data) != 0 {
		data = &v.Data[0]
	}
	result, _, _ := procRegSetValueExW.Call(uintptr(k), uintptr(unsafe.Pointer(name16)), 0,
		uintptr(v.Type), uintptr(unsafe.Pointer(data)), uintptr(len(v.Data)))
	if result != 0 {
		return windows.Errno(result)
	}
	return nil
}

// procRegSetValueExW writes a value.
//
//	LSTATUS RegSetValueExW([in] HKEY hKey, [in, optional] LPCWSTR lpValueName, DWORD Reserved,
//		[in] DWORD dwType, [in] const BYTE *lpData, [in] DWORD cbData);
//
// https://learn.microsoft.com/windows/win32/api/winreg/nf-winreg-regsetvalueexw
var procRegSetValueExW = advapi32.NewProc("RegSetValueExW")

var (
	advapi32            = windows.NewLazySystemDLL("advapi32.dll")
	procRegCreateKeyExW = advapi32.NewProc("RegCreateKeyExW")
	procNtDeleteKey     = windows.NewLazySystemDLL("ntdll.dll").NewProc("NtDeleteKey")
)

func (localMachine) Unset(key, name string) error {
	err := privileged(key, func(options uint32) error {
		k, err := toChange(key, registry.SET_VALUE, options)
		if err != nil {
			return err
		}
		defer k.Close()
		return k.DeleteValue(name)
	})
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	return registryError("delete a value", err)
}

func (localMachine) RemoveEmpty(key string) error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|registry.ENUMERATE_SUB_KEYS|view)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	if err != nil {
		return registryError("open", err)
	}
	info, err := k.Stat()
	if err := errors.Join(err, k.Close()); err != nil {
		return registryError("look into", err)
	}
	if info.SubKeyCount != 0 || info.ValueCount != 0 {
		return nil
	}
	// Deleting is a right on the key itself, not on its parent.
	err = privileged(key, func(options uint32) error {
		if options == plainly {
			return registry.DeleteKey(registry.LOCAL_MACHINE, key)
		}
		k, err := toChange(key, windows.DELETE, options)
		if err != nil {
			return err
		}
		return errors.Join(deleteKey(k), k.Close())
	})
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	return registryError("delete", err)
}

// deleteKey deletes a key that is open for it.
//
//	__kernel_entry NTSYSCALLAPI NTSTATUS NtDeleteKey([in] HANDLE KeyHandle);
//
// https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/nf-wdm-zwdeletekey
func deleteKey(k registry.Key) error {
	if status, _, _ := procNtDeleteKey.Call(uintptr(k)); status != 0 {
		return windows.NTStatus(status).Errno()
	}
	return nil
}

func (localMachine) Security(key string) ([]byte, error) {
	sd, _, err := windowsKeeper{}.security(key)
	return sd, registryError("read the access list", err)
}

func (localMachine) SetSecurity(key string, sd []byte) error {
	// The privileges let an owner be named that the caller is not.
	return registryError("write the access list", withPrivileges(func() error {
		return windowsKeeper{}.setSecurity(key, sd)
	}))
}

func registryError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%s: %w: it takes an elevated administrator: %w", what, fault.ErrDenied, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
