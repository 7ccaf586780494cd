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

// sharedSDDL is for SYSTEM and administrators, who install programs; users and
// services, as which CCG's plugin host may run, can read and execute them.
const sharedSDDL = folderSDDL + "(A;OICI;0x1200a9;;;BU)(A;OICI;0x1200a9;;;SU)"

func makeFolder(dir string) error { return makeWith(dir, folderSDDL) }

func makeShared(dir string) error { return makeWith(dir, sharedSDDL) }

// makeWith makes dir and what is missing above it, with their access list
// from the first instant. What is missing above gets the same one: whoever owns
// a folder can exchange what is in it.
func makeWith(dir, sddl string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := makeWith(parent, sddl); err != nil {
			return err
		}
	}
	sd, err := windows.SecurityDescriptorFromString(sddl)
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
	return checkAccess(dir, anyAccess)
}

// checkShared refuses a folder that belongs to others or that others may change.
func checkShared(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is not a folder, or a link to one", fault.ErrMalformed, dir)
	}
	return checkHolder(dir)
}

// The rights that must not be others', as winnt.h has them; x/sys lacks those
// that are particular to folders.
const (
	addFile     = 0x2  // FILE_ADD_FILE
	deleteChild = 0x40 // FILE_DELETE_CHILD

	// anyAccess also looks at what only the things inside will inherit.
	anyAccess = ^windows.ACCESS_MASK(0)
	// exchange lets its holder put another object in the place of what is in
	// a folder, or of the folder itself.
	exchange windows.ACCESS_MASK = deleteChild | windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_ALL
	// place lets its holder put a file into a folder, too.
	place = exchange | addFile | windows.GENERIC_WRITE
	// read lets its holder see what is in a file.
	read windows.ACCESS_MASK = windows.FILE_READ_DATA | windows.GENERIC_READ | windows.GENERIC_ALL
	// change lets its holder change a file or a link. With the attributes comes
	// the right to make the file a link.
	change windows.ACCESS_MASK = windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | windows.FILE_WRITE_ATTRIBUTES |
		windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_ALL | windows.GENERIC_WRITE
)

// checkAncestor refuses a folder in which others could exchange a folder.
// Everybody may make new ones in C:\ and in ProgramData.
func checkAncestor(dir string) error { return checkAccess(dir, exchange) }

// checkHolder refuses a folder in which others could put a file.
func checkHolder(dir string) error { return checkAccess(dir, place) }

func checkFile(path string) error { return checkAccess(path, change) }

// checkReaders refuses a file that others may read. What a link leads to is
// what is looked at.
func checkReaders(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return checkAccess(path, read)
}

func checkLink(path string) error { return checkAccess(path, change) }

// isLink takes junctions and mount points for what they are; Go calls them
// irregular.
func isLink(info fs.FileInfo) bool { return info.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0 }

// checkAccess refuses what belongs to others, and what others have one of
// these rights to.
func checkAccess(path string, rights windows.ACCESS_MASK) error {
	sd, err := descriptor(path)
	if err != nil {
		return &os.PathError{Op: "read access list", Path: path, Err: err}
	}
	return judge(path, sd, rights)
}

func judge(path string, sd *windows.SECURITY_DESCRIPTOR, rights windows.ACCESS_MASK) error {
	trusted, err := trustedSIDs()
	if err != nil {
		return err
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("owner of %s: %w", path, err)
	}
	if !trusted.has(owner) {
		return fmt.Errorf("%w: %s belongs to %s, not to SYSTEM or Administrators", fault.ErrDenied, path, owner)
	}
	dacl, _, err := sd.DACL()
	if err != nil || dacl == nil {
		return fmt.Errorf("%w: %s has no access list: everyone may use it", fault.ErrDenied, path)
	}
	for i := range uint32(dacl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil {
			return fmt.Errorf("access list of %s: %w", path, err)
		}
		if ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE && ace.Header.AceType != allowedCallback {
			continue // denials take nothing from the protection
		}
		if ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 && rights != anyAccess {
			continue
		}
		if sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart)); ace.Mask&rights != 0 && !trusted.has(sid) {
			return fmt.Errorf("%w: %s is open to %s (%#x); only SYSTEM and administrators may have that access", fault.ErrDenied, path, sid, ace.Mask&rights)
		}
	}
	return nil
}

// allowedCallback is ACCESS_ALLOWED_CALLBACK_ACE_TYPE of winnt.h: an entry with
// a condition behind its SID.
const allowedCallback = 9

// descriptor is the owner and the access list of a file, a folder or a link
// itself.
func descriptor(path string) (*windows.SECURITY_DESCRIPTOR, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateFile(name, windows.READ_CONTROL,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(h) //nolint:errcheck // only read
	return windows.GetSecurityInfo(h, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
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

// trustedInstaller owns the root of the system's volume and the Windows folder.
const trustedInstaller = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

// trustedSIDs are SYSTEM, Administrators, the installer of Windows, whoever this
// process runs as, and the two that stand for the owner.
func trustedSIDs() (sids, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("own user: %w", err)
	}
	installer, err := windows.StringToSid(trustedInstaller)
	if err != nil {
		return nil, fmt.Errorf("well-known SID: %w", err)
	}
	s := sids{user.User.Sid, installer}
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
