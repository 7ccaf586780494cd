package plugindll

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

// servicesCanRead asks the file's access list.
func servicesCanRead(path string) (bool, error) {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return false, &os.PathError{Op: "read access list", Path: path, Err: err}
	}
	return ccgplugin.ServicesMay(unsafe.Slice((*byte)(unsafe.Pointer(sd)), sd.Length()), windows.FILE_READ_DATA|windows.FILE_EXECUTE)
}
