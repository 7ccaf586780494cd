package private

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// busyWait bounds the wait for who has a file open for a moment: another
// process of the agent, a virus scanner.
const busyWait = time.Second

// retryBusy repeats do while Windows says that the file is in use, which a
// replacement in progress looks like too.
func retryBusy(do func() error) error {
	deadline := time.Now().Add(busyWait)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := do()
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) ||
			errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Now().After(deadline) {
			return err
		}
		time.Sleep(wait)
	}
}

// openReplaced shares the file, which os.Open does not: it may be replaced and
// removed meanwhile.
func openReplaced(path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	var h windows.Handle
	err = retryBusy(func() (err error) {
		h, err = windows.CreateFile(name, windows.GENERIC_READ,
			windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
			windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// rename replaces to, also while it is open, as long as whoever has it open
// shares it. A handle that writes through does for the folder what syncFolder
// does elsewhere.
func rename(from, to string) error {
	err := retryBusy(func() error {
		err := renamePOSIX(from, to)
		if errors.Is(err, windows.ERROR_INVALID_PARAMETER) || errors.Is(err, windows.ERROR_INVALID_FUNCTION) ||
			errors.Is(err, windows.ERROR_NOT_SUPPORTED) || errors.Is(err, windows.ERROR_CALL_NOT_IMPLEMENTED) {
			return renamePlain(from, to) // a file system, or a Windows, without POSIX semantics
		}
		return err
	})
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// renamePOSIX takes the name from a file that is open: MoveFileEx answers
// "access denied" there, however the file is shared.
func renamePOSIX(from, to string) error {
	f, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	t, err := windows.UTF16FromString(to)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(f, windows.DELETE|windows.SYNCHRONIZE,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT|windows.FILE_FLAG_WRITE_THROUGH, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h) //nolint:errcheck // nothing was written through it
	const header = unsafe.Offsetof(fileRenameInfo{}.FileName)
	buffer := make([]byte, header+uintptr(2*len(t)))
	info := (*fileRenameInfo)(unsafe.Pointer(&buffer[0]))
	info.Flags = windows.FILE_RENAME_REPLACE_IF_EXISTS | windows.FILE_RENAME_POSIX_SEMANTICS
	info.FileNameLength = uint32(2 * (len(t) - 1)) // without the NUL
	copy(unsafe.Slice(&info.FileName[0], len(t)), t)
	return windows.SetFileInformationByHandle(h, windows.FileRenameInfoEx, &buffer[0], uint32(len(buffer)))
}

// fileRenameInfo is FILE_RENAME_INFO:
//
//	typedef struct _FILE_RENAME_INFO {
//	  union { BOOLEAN ReplaceIfExists; DWORD Flags; };
//	  HANDLE RootDirectory;
//	  DWORD  FileNameLength; // in bytes
//	  WCHAR  FileName[1];
//	} FILE_RENAME_INFO;
//
// https://learn.microsoft.com/windows/win32/api/winbase/ns-winbase-file_rename_info
type fileRenameInfo struct {
	Flags          uint32
	RootDirectory  windows.Handle
	FileNameLength uint32
	FileName       [1]uint16
}

func renamePlain(from, to string) error {
	f, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	t, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(f, t, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
}

// syncFolder has nothing to do: NTFS journals what happens in folders.
func syncFolder(string) error { return nil }

// fileSDDL is folderSDDL's for a single file.
const fileSDDL = "D:P(A;;FA;;;SY)(A;;FA;;;BA)"

// createOwn makes a file with an access list of its own, whatever its folder's
// would be.
func createOwn(path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	sd, err := windows.SecurityDescriptorFromString(fileSDDL)
	if err != nil {
		return nil, err
	}
	sa := windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(sa))
	// Shared, because a virus scanner opens what is new; os.Chtimes does, too.
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, &sa,
		windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}
