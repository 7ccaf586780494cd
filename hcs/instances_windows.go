package hcs

import (
	"errors"
	"fmt"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// computecore.dll is HCS's documented interface, since Windows Server 2019.
var (
	computecore           = windows.NewLazySystemDLL("computecore.dll")
	getServiceProperties  = computecore.NewProc("HcsGetServiceProperties")
	modifyServiceSettings = computecore.NewProc("HcsModifyServiceSettings")
)

// NewService returns HCS's service calls on this host.
func NewService() *Service { return newService(serviceProperties, changeServiceSettings) }

// serviceProperties calls
//
//	HRESULT WINAPI HcsGetServiceProperties(_In_opt_ PCWSTR propertyQuery, _Outptr_ PWSTR* result);
//
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsgetserviceproperties
//
// Unlike calls on a compute system it has no operation that would be waited
// for: it answers when it returns.
func serviceProperties(query []byte) ([]byte, error) {
	return serviceCall(getServiceProperties, query)
}

// changeServiceSettings calls
//
//	HRESULT WINAPI HcsModifyServiceSettings(_In_ PCWSTR settings, _Outptr_opt_ PWSTR* result);
//
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcsmodifyservicesettings
func changeServiceSettings(request []byte) error {
	result, err := serviceCall(modifyServiceSettings, request)
	clear(result)
	return err
}

// serviceCall makes one of the two. What HCS says on a failure (a ResultError)
// is dropped: it may quote what was sent.
func serviceCall(proc *windows.LazyProc, argument []byte) ([]byte, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	if err := proc.Find(); err != nil {
		return nil, fmt.Errorf("this Windows has no Host Compute Service (feature Containers): %w: %w", err, errors.ErrUnsupported)
	}
	text, err := windows.UTF16PtrFromString(string(argument))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", proc.Name, err, fault.ErrMalformed)
	}
	var result *uint16
	hr, _, _ := proc.Call(uintptr(unsafe.Pointer(text)), uintptr(unsafe.Pointer(&result)))
	answer := takeString(result)
	if int32(hr) < 0 {
		clear(answer)
		return nil, fmt.Errorf("%s: %w", proc.Name, ofHResult(uint32(hr)))
	}
	return answer, nil
}

// takeString copies a string of HCS's and gives its memory back, overwritten,
// with LocalFree
// (https://learn.microsoft.com/virtualization/api/hcs/reference/hcswaitforoperationresult,
// "resultDocument"; the service calls' pages are silent).
func takeString(s *uint16) []byte {
	if s == nil {
		return nil
	}
	n := 0
	for p := unsafe.Pointer(s); *(*uint16)(p) != 0; p = unsafe.Add(p, 2) {
		n++
	}
	units := unsafe.Slice(s, n)
	out := make([]byte, 0, n+n/8)
	for i := 0; i < n; i++ {
		r := rune(units[i])
		if r >= 0xd800 && r < 0xdc00 && i+1 < n {
			if low := rune(units[i+1]); low >= 0xdc00 && low < 0xe000 {
				r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
				i++
			}
		}
		out = utf8.AppendRune(out, r)
	}
	clear(units)
	_, _ = windows.LocalFree(windows.Handle(unsafe.Pointer(s)))
	return out
}

// HRESULTs that say more than that it failed (winerror.h).
const (
	hrAccessDenied  = 0x80070005 // E_ACCESSDENIED
	hrNotFound      = 0x80070490 // HRESULT_FROM_WIN32(ERROR_NOT_FOUND)
	hrNotSupported  = 0x80070032 // HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED)
	hrHCSAccess     = 0x8037011B // HCS_E_ACCESS_DENIED
	hrUnknownType   = 0xC037010D // HCS_E_INVALID_JSON: a property type that this Windows does not know
	facilityWin32   = 0x8007
	hresultFacility = 16
)

// ofHResult gives an HRESULT its kind.
func ofHResult(hr uint32) error {
	kind := fault.ErrUnavailable
	switch hr {
	case hrAccessDenied, hrHCSAccess:
		kind = fault.ErrDenied
	case hrNotFound:
		kind = fault.ErrNotFound
	case hrNotSupported, hrUnknownType:
		kind = errors.ErrUnsupported
	}
	if hr>>hresultFacility == facilityWin32 {
		return fmt.Errorf("%w (%#x): %w", windows.Errno(hr&0xffff), hr, kind)
	}
	return fmt.Errorf("HRESULT %#x: %w", hr, kind)
}
