//go:build unix

package main

import "golang.org/x/sys/unix"

// umask sets what new files are not to be, and gives what it was.
func umask(mask int) (old int) { return unix.Umask(mask) }
