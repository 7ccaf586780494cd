// Command ccg-plugin is the CCG plugin: a COM DLL that Container Credential
// Guard activates for a container whose credential spec names it, to be given
// the credentials of the plugin user.
//
// The DLL converts types and calls package internal/ccgplugin, which dials the
// agent and redeems the container's grant. It keeps nothing, decides nothing,
// and has no configuration.
//
//	CGO_ENABLED=1 GOOS=windows CC=x86_64-w64-mingw32-gcc \
//		go build -buildmode=c-shared -trimpath -ldflags='-s -w' -o ccg-plugin.dll ./cmd/ccg-plugin
package main

import (
	"fmt"
	"os"
)

// unusable ends a program that is not the DLL.
func unusable(why string) {
	fmt.Fprintln(os.Stderr, "error: the CCG plugin is a DLL for Windows: "+why)
	os.Exit(2)
}
