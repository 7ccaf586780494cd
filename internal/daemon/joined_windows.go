package daemon

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// hostIsDomainMember asks Windows (NetGetJoinInformation).
func hostIsDomainMember() (bool, error) {
	var name *uint16
	var status uint32
	if err := windows.NetGetJoinInformation(nil, &name, &status); err != nil {
		return false, fmt.Errorf("ask whether the host is a domain member: %w", err)
	}
	defer func() { _ = windows.NetApiBufferFree((*byte)(unsafe.Pointer(name))) }()
	return status == windows.NetSetupDomainName, nil
}
