package channel

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// What x/sys does not have.
var (
	procImpersonateNamedPipeClient = windows.NewLazySystemDLL("advapi32.dll").NewProc("ImpersonateNamedPipeClient")
	procWaitNamedPipeW             = windows.NewLazySystemDLL("kernel32.dll").NewProc("WaitNamedPipeW")
)

// impersonateNamedPipeClient makes the calling thread act as the pipe's client.
//
//	BOOL ImpersonateNamedPipeClient([in] HANDLE hNamedPipe);
//
// https://learn.microsoft.com/windows/win32/api/namedpipeapi/nf-namedpipeapi-impersonatenamedpipeclient
func impersonateNamedPipeClient(pipe windows.Handle) error {
	if ok, _, err := procImpersonateNamedPipeClient.Call(uintptr(pipe)); ok == 0 {
		return err
	}
	return nil
}

// waitNamedPipe waits for at most the given milliseconds until an instance of
// the pipe can be connected to. A pipe that does not exist is
// ERROR_FILE_NOT_FOUND at once.
//
//	BOOL WaitNamedPipeW([in] LPCWSTR lpNamedPipeName, [in] DWORD nTimeOut);
//
// https://learn.microsoft.com/windows/win32/api/namedpipeapi/nf-namedpipeapi-waitnamedpipew
func waitNamedPipe(name *uint16, milliseconds uint32) error {
	if ok, _, err := procWaitNamedPipeW.Call(uintptr(unsafe.Pointer(name)), uintptr(milliseconds)); ok == 0 {
		return err
	}
	return nil
}
