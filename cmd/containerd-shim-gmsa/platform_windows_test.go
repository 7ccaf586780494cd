package main

import (
	"os"
	"testing"

	"golang.org/x/sys/windows"
)

// gone says whether a process has ended.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	process, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return true
	}
	defer windows.CloseHandle(process) //nolint:errcheck // only waited for
	event, err := windows.WaitForSingleObject(process, 0)
	return err == nil && event == windows.WAIT_OBJECT_0
}

// occupy connects to a pipe and says nothing until the test ends. Under Wine the
// first client of a pipe is given the instance that go-winio holds to own the
// name, and is never served.
func occupy(t *testing.T, pipe string) {
	t.Helper()
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
}
