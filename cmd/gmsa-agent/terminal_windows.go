package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// administrator is who may do what needs rights.
const administrator = "an elevated prompt"

// whereLogs is where the service's log goes.
const whereLogs = "agent.log, in the agent's state folder"

// showsColour makes the console read escape sequences; one that can't is older
// than Windows 10 1511.
func showsColour(f *os.File) bool {
	console := windows.Handle(f.Fd())
	var mode uint32
	return windows.GetConsoleMode(console, &mode) == nil &&
		windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
