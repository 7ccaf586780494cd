package ccgplugin

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// withOwnership does what f does to a key. Windows lets administrators read
// the key of CCG's plugins and not write to it; where f is refused for that,
// the key is made Administrators' own while f is tried again, and then gets
// back the owner and the access list that it had.
//
// It needs SeTakeOwnershipPrivilege and SeRestorePrivilege, which elevated
// administrators have.
func withOwnership(key string, f func() error) error {
	refused := f()
	if !errors.Is(refused, windows.ERROR_ACCESS_DENIED) {
		return refused
	}
	restore, err := takeOwnership(key)
	if err != nil {
		return errors.Join(refused, fmt.Errorf(`take ownership of HKLM\%s: %w`, key, err))
	}
	err = f()
	if restored := restore(); restored != nil {
		err = errors.Join(err, fmt.Errorf(`give HKLM\%s back its owner and access list: %w`, key, restored))
	}
	return err
}

const ownership = windows.OWNER_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION

// takeOwnership makes Administrators the key's owner and lets them write to it.
func takeOwnership(key string) (restore func() error, err error) {
	// Privileges are the thread's, so that the rest of the process does not
	// have them meanwhile.
	runtime.LockOSThread()
	revert, err := enablePrivileges("SeTakeOwnershipPrivilege", "SeRestorePrivilege")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	done := func() error {
		err := revert()
		if err == nil {
			runtime.UnlockOSThread() // else the thread ends with the goroutine
		}
		return err
	}
	before, err := securityOf(key)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	admins, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	// From here on each step is allowed by the one before: the privilege lets
	// us be the owner, the owner may write the list, the list lets us do f.
	if err := setSecurity(key, windows.WRITE_OWNER, windows.OWNER_SECURITY_INFORMATION, admins, nil); err != nil {
		return nil, errors.Join(err, done())
	}
	giveBack := func() error {
		owner, _, err := before.Owner()
		if err != nil {
			return err
		}
		dacl, _, err := before.DACL()
		if err != nil {
			return err
		}
		err = setSecurity(key, windows.WRITE_OWNER|windows.WRITE_DAC, ownership|protection(before), owner, dacl)
		if errors.Is(err, registry.ErrNotExist) {
			return nil // it was what f deleted
		}
		return err
	}
	if err := allowAll(key, before, admins); err != nil {
		return nil, errors.Join(err, giveBack(), done())
	}
	return func() error { return errors.Join(giveBack(), done()) }, nil
}

// allowAll adds full control of the key for sid to the list that it has.
func allowAll(key string, before *windows.SECURITY_DESCRIPTOR, sid *windows.SID) error {
	dacl, _, err := before.DACL()
	if err != nil {
		return err
	}
	wider, err := windows.ACLFromEntries([]windows.EXPLICIT_ACCESS{{
		AccessPermissions: windows.KEY_ALL_ACCESS,
		AccessMode:        windows.GRANT_ACCESS,
		Trustee: windows.TRUSTEE{
			TrusteeForm:  windows.TRUSTEE_IS_SID,
			TrusteeType:  windows.TRUSTEE_IS_GROUP,
			TrusteeValue: windows.TrusteeValueFromSID(sid),
		},
	}}, dacl)
	if err != nil {
		return err
	}
	return setSecurity(key, windows.WRITE_DAC, windows.DACL_SECURITY_INFORMATION, nil, wider)
}

// protection keeps a list that did not inherit from doing so when it is set.
func protection(sd *windows.SECURITY_DESCRIPTOR) windows.SECURITY_INFORMATION {
	if control, _, err := sd.Control(); err == nil && control&windows.SE_DACL_PROTECTED != 0 {
		return windows.PROTECTED_DACL_SECURITY_INFORMATION
	}
	return windows.UNPROTECTED_DACL_SECURITY_INFORMATION
}

func securityOf(key string) (*windows.SECURITY_DESCRIPTOR, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, windows.READ_CONTROL|view)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	return windows.GetSecurityInfo(windows.Handle(k), windows.SE_REGISTRY_KEY, ownership)
}

func setSecurity(key string, access uint32, what windows.SECURITY_INFORMATION, owner *windows.SID, dacl *windows.ACL) error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, access|view)
	if err != nil {
		return err
	}
	defer k.Close()
	return windows.SetSecurityInfo(windows.Handle(k), windows.SE_REGISTRY_KEY, what, owner, nil, dacl, nil)
}

// enablePrivileges gives the calling thread a token of its own in which the
// privileges are enabled; revert takes it away.
func enablePrivileges(names ...string) (revert func() error, err error) {
	if err := windows.ImpersonateSelf(windows.SecurityImpersonation); err != nil {
		return nil, err
	}
	var token windows.Token
	err = windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, false, &token)
	if err != nil {
		return nil, errors.Join(err, windows.RevertToSelf())
	}
	defer token.Close()
	for _, name := range names {
		name16, err := windows.UTF16PtrFromString(name)
		if err != nil {
			return nil, errors.Join(err, windows.RevertToSelf())
		}
		wanted := windows.Tokenprivileges{PrivilegeCount: 1}
		wanted.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
		if err := windows.LookupPrivilegeValue(nil, name16, &wanted.Privileges[0].Luid); err != nil {
			return nil, errors.Join(err, windows.RevertToSelf())
		}
		if err := windows.AdjustTokenPrivileges(token, false, &wanted, 0, nil, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), windows.RevertToSelf())
		}
	}
	return windows.RevertToSelf, nil
}
