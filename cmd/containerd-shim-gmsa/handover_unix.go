//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// handOver makes this process the real shim: same process number, streams,
// signals and parent, and no cost. It returns only if that fails.
func handOver(shim string, args []string) error {
	argv := append([]string{shim}, args[1:]...)
	return fmt.Errorf("gmsa-agent: shim wrapper: run the real shim %s: %w", shim, syscall.Exec(shim, argv, os.Environ()))
}
