// Command plug keeps a connection to the first instance of a named pipe.
//
// go-winio's ListenPipe creates a first instance that only reserves the name.
// Windows never connects a client to it. Wine does: the first client of the
// pipe hangs for ever, every later one is served. So in a Wine lab the plug is
// the first client. It prints "held" and a newline once it is, and stays until
// it is killed.
package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	errFileNotFound syscall.Errno = 2   // nobody listens yet
	errPipeBusy     syscall.Errno = 231 // all instances are taken
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, `usage: plug \\.\pipe\NAME`)
		os.Exit(2)
	}
	pipe, err := open(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: open %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	fmt.Println("held")
	// Nobody writes to the first instance: reading ends with the listener. Where
	// another client was quicker, this one is served like any other and harmless.
	buffer := make([]byte, 512)
	for err == nil {
		var n uint32
		err = syscall.ReadFile(pipe, buffer, &n, nil)
	}
}

// open opens the pipe as soon as it exists.
func open(pipe string) (syscall.Handle, error) {
	name, err := syscall.UTF16PtrFromString(pipe)
	if err != nil {
		return 0, err
	}
	for {
		h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_EXISTING, 0, 0)
		if err == nil || !errors.Is(err, errFileNotFound) && !errors.Is(err, errPipeBusy) {
			return h, err
		}
		time.Sleep(2 * time.Millisecond) // there is nothing to wait on for a pipe that does not exist
	}
}
