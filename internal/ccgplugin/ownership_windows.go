package ccgplugin

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// privileged does what f does to a key. Windows lets administrators read the
// key of CCG's plugins and not write to it. Where f is refused for that, it is
// tried again with the privileges by which backups are restored: a key that is
// opened for that, with again, needs no right and none is changed. Where that
// is refused too, the key is made Administrators' own for the moment.
//
// It needs SeRestorePrivilege, SeBackupPrivilege and, for the second,
// SeTakeOwnershipPrivilege, which elevated administrators have.
func privileged(key string, f func(options uint32) error) error {
	refused := f(plainly)
	if !errors.Is(refused, windows.ERROR_ACCESS_DENIED) {
		return refused
	}
	err := withPrivileges(func() error {
		if err := f(restoring); !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			return err
		}
		return asOwner(windowsKeeper{}, key, func() error { return f(plainly) })
	})
	if err != nil {
		return errors.Join(refused, fmt.Errorf(`HKLM\%s with an administrator's privileges: %w`, key, err))
	}
	return nil
}

// How a key is opened.
//
// https://learn.microsoft.com/windows/win32/api/winreg/nf-winreg-regcreatekeyexw
const (
	plainly   uint32 = 0
	restoring uint32 = 0x4 // REG_OPTION_BACKUP_RESTORE: access by privilege
)

// withPrivileges does f on a thread that alone has the privileges, so that the
// rest of the process does not have them meanwhile. A panic of f is the
// caller's, as without.
func withPrivileges(f func() error) (err error) {
	type result struct {
		err      error
		panicked any
	}
	results := make(chan result)
	go func() {
		var r result
		// Locked and never unlocked where the token cannot be taken away again:
		// then the thread ends with this goroutine.
		runtime.LockOSThread()
		defer func() {
			r.panicked = recover()
			if reverted := windows.RevertToSelf(); reverted != nil {
				r.err = errors.Join(r.err, reverted)
			} else {
				runtime.UnlockOSThread()
			}
			results <- r
		}()
		if r.err = enablePrivileges("SeTakeOwnershipPrivilege", "SeRestorePrivilege", "SeBackupPrivilege"); r.err == nil {
			r.err = f()
		}
	}()
	r := <-results
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.err
}

// enablePrivileges gives the calling thread a token of its own in which the
// privileges are enabled.
func enablePrivileges(names ...string) error {
	if err := windows.ImpersonateSelf(windows.SecurityImpersonation); err != nil {
		return err
	}
	var token windows.Token
	if err := windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, false, &token); err != nil {
		return err
	}
	defer token.Close()
	for _, name := range names {
		name16, err := windows.UTF16PtrFromString(name)
		if err != nil {
			return err
		}
		wanted := windows.Tokenprivileges{PrivilegeCount: 1}
		wanted.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
		if err := windows.LookupPrivilegeValue(nil, name16, &wanted.Privileges[0].Luid); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := windows.AdjustTokenPrivileges(token, false, &wanted, 0, nil, nil); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// windowsKeeper is the keeper of this host's keys.
type windowsKeeper struct{}

const ownership = windows.OWNER_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION

func (windowsKeeper) security(key string) ([]byte, bool, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, windows.READ_CONTROL|view)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer k.Close()
	sd, err := windows.GetSecurityInfo(windows.Handle(k), windows.SE_REGISTRY_KEY, ownership)
	if err != nil {
		return nil, false, err
	}
	// Self-relative, as the function makes it: one piece of memory.
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(sd)), sd.Length())...), true, nil
}

func (windowsKeeper) setSecurity(key string, sd []byte) error {
	return setSecurity(key, windows.WRITE_OWNER|windows.WRITE_DAC, ownership, sd)
}

func (windowsKeeper) setOwner(key string) error {
	return setSecurity(key, windows.WRITE_OWNER, windows.OWNER_SECURITY_INFORMATION, descriptor{owner: sidAdministrators}.bytes())
}

func (windowsKeeper) setList(key string, sd []byte) error {
	return setSecurity(key, windows.WRITE_DAC, windows.DACL_SECURITY_INFORMATION, sd)
}

// setSecurity gives a key what a descriptor says, to the byte. Nothing is
// handed down to its subkeys, which SetSecurityInfo would do.
func setSecurity(key string, access uint32, what windows.SECURITY_INFORMATION, b []byte) error {
	d, err := readDescriptor(b)
	if err != nil {
		return err
	}
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, access|view)
	if err != nil {
		return err
	}
	defer k.Close()
	if what&windows.DACL_SECURITY_INFORMATION != 0 {
		if d.protected {
			what |= windows.PROTECTED_DACL_SECURITY_INFORMATION
		} else {
			what |= windows.UNPROTECTED_DACL_SECURITY_INFORMATION
		}
	}
	return windows.SetKernelObjectSecurity(windows.Handle(k), what, (*windows.SECURITY_DESCRIPTOR)(unsafe.Pointer(&b[0])))
}

func (windowsKeeper) note(key string, sd []byte) error {
	for _, made := range []string{keyProduct, keyOwnership} {
		k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, made, registry.QUERY_VALUE|view)
		if err != nil {
			return err
		}
		if err := k.Close(); err != nil {
			return err
		}
	}
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, keyOwnership, registry.SET_VALUE|view)
	if err != nil {
		return err
	}
	// On the disk before the first change: a host may lose its power, too.
	err = errors.Join(setRaw(k, key, Value{regBinary, sd}), flush(k))
	return errors.Join(err, k.Close())
}

func (windowsKeeper) forget(key string) error { return forget(LocalMachine(), key) }

// flush writes a key to the disk.
//
//	LSTATUS RegFlushKey([in] HKEY hKey);
//
// https://learn.microsoft.com/windows/win32/api/winreg/nf-winreg-regflushkey
func flush(k registry.Key) error {
	if result, _, _ := procRegFlushKey.Call(uintptr(k)); result != 0 {
		return windows.Errno(result)
	}
	return nil
}

var procRegFlushKey = advapi32.NewProc("RegFlushKey")
