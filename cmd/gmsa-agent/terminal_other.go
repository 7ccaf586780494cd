//go:build !windows

package main

import "os"

// administrator is who may do what needs rights.
const administrator = "root"

// whereLogs is where the service's log goes.
const whereLogs = "journalctl -u gmsa-agent"

func showsColour(*os.File) bool { return true }
