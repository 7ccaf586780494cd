//go:build !windows

package main

import "os"

// administrator is who may do what needs rights.
const administrator = "root"

func showsColour(*os.File) bool { return true }
