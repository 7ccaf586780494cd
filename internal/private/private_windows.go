package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// folderSDDL is for SYSTEM, as which the agent runs, and for administrators,
// who run the CLI; nothing is inherited from above, where ordinary users may
// write.
const folderSDDL = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

// makeFolder makes dir and what is missing above it, with their access list
// from the first instant. What is missing above gets the same one: whoever owns
// a folder can exchange what is in it.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	sd, err := windows.SecurityDescriptorFromString(folderSDDL)
	if err != nil {
		return err
	}
	sa := windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(sa))
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	if err := windows.CreateDirectory(name, &sa); err != nil && !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return &os.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}

// checkFolder refuses a folder that belongs to others or that others may use:
// ordinary users may make folders in ProgramData before the agent does, and
// DPAPI's machine scope opens for everyone who can read a file.
func checkFolder(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is not a folder, or a link to one", fault.ErrMalformed, dir)
	}
	sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("access list of %s: %w", dir, err)
	}
	trusted, err := trustedSIDs()
	if err != nil {
		return err
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("owner of %s: %w", dir, err)
	}
	if !trusted.has(owner) {
		return fmt.Errorf("%w: folder %s belongs to %s, not to SYSTEM or an administrator", fault.ErrDenied, dir, owner)
	}
	dacl, _, err := sd.DACL()
	if err != nil || dacl == nil {
		return fmt.Errorf("%w: folder %s has no access list: everyone may use it", fault.ErrDenied, dir)
	}
	for i := range uint32(dacl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil {
			return fmt.Errorf("access list of %s: %w", dir, err)
		}
		if ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE {
			continue // denials take nothing from the protection
		}
		if sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart)); !trusted.has(sid) {
			return fmt.Errorf("%w: folder %s is open to %s; only SYSTEM and administrators may have access", fault.ErrDenied, dir, sid)
		}
	}
	return nil
}

type sids []*windows.SID

func (s sids) has(sid *windows.SID) bool {
	for _, t := range s {
		if t.Equals(sid) {
			return true
		}
	}
	return false
}

// trustedSIDs are SYSTEM, Administrators, whoever this process runs as, and the
// two that stand for the owner.
func trustedSIDs() (sids, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("own user: %w", err)
	}
	s := sids{user.User.Sid}
	for _, t := range []windows.WELL_KNOWN_SID_TYPE{
		windows.WinLocalSystemSid, windows.WinBuiltinAdministratorsSid,
		windows.WinCreatorOwnerSid, windows.WinCreatorOwnerRightsSid,
	} {
		sid, err := windows.CreateWellKnownSid(t)
		if err != nil {
			return nil, fmt.Errorf("well-known SID: %w", err)
		}
		s = append(s, sid)
	}
	return s, nil
}

// TryLock takes an exclusive lock on an open file, which ends with the process
// at the latest. It reports false if another one holds it.
func TryLock(f *os.File) (bool, error) {
	var at windows.Overlapped
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return false, nil
	}
	return false, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
}
