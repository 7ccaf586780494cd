// Command words prints, as JSON, the messages that FormatMessage finds in a
// program: its first argument is the program's path, the others are messages'
// numbers. It asks as Event Viewer does, with each parameter in its place.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/windows"
)

// parameters are more than any message has.
const parameters = 16

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "error: wanted a program and messages' numbers")
		os.Exit(2)
	}
	module, err := windows.LoadLibraryEx(os.Args[1], 0, windows.LOAD_LIBRARY_AS_DATAFILE)
	if err != nil {
		fail(err)
	}
	var args [parameters]*uint16
	for i := range args {
		if args[i], err = windows.UTF16PtrFromString(fmt.Sprintf("<%d>", i+1)); err != nil {
			fail(err)
		}
	}
	found := map[string]string{}
	for _, arg := range os.Args[2:] {
		id, err := strconv.ParseUint(arg, 10, 32)
		if err != nil {
			fail(err)
		}
		buf := make([]uint16, 8<<10)
		const flags = windows.FORMAT_MESSAGE_FROM_HMODULE | windows.FORMAT_MESSAGE_ARGUMENT_ARRAY
		n, err := windows.FormatMessage(flags, uintptr(module), uint32(id), 0, buf, (*byte)(unsafe.Pointer(&args[0])))
		if err != nil {
			fail(fmt.Errorf("message %d: %w", id, err))
		}
		found[arg] = windows.UTF16ToString(buf[:n])
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}
