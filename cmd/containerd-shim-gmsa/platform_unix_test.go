//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

// gone says whether a process has ended, collected by its parent or not.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// occupy is for pipes.
func occupy(*testing.T, string) {}
