package ccgplugin

import (
	"errors"
	"fmt"
	"strings"
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
	return registryError("create", withOwnership(parentOf(key), func() error {
		k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|view)
		if err != nil {
			return err
		}
		return k.Close()
	}))
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
	return registryError("write", withOwnership(key, func() error {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.SET_VALUE|view)
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
var procRegSetValueExW = windows.NewLazySystemDLL("advapi32.dll").NewProc("RegSetValueExW")

func (localMachine) Unset(key, name string) error {
	err := withOwnership(key, func() error {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.SET_VALUE|view)
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
	err = withOwnership(key, func() error { return registry.DeleteKey(registry.LOCAL_MACHINE, key) })
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	return registryError("delete", err)
}

func (localMachine) Descriptor(sddl string) ([]byte, error) {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sddl, err)
	}
	// Self-relative, as the function makes it: one piece of memory.
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(sd)), sd.Length())...), nil
}

func parentOf(key string) string {
	i := strings.LastIndexByte(key, '\\')
	return key[:max(i, 0)]
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
