package membership

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// OfDomain asks Windows (NetGetJoinInformation).
func OfDomain() (bool, error) {
	s, err := ask()
	return s.ofDomain(), err
}

func ask() (status, error) {
	var name *uint16
	var s uint32
	if err := windows.NetGetJoinInformation(nil, &name, &s); err != nil {
		return unknown, fmt.Errorf("ask whether the host is a domain member: %w", err)
	}
	_ = windows.NetApiBufferFree((*byte)(unsafe.Pointer(name))) // the name does not matter
	return status(s), nil
}
