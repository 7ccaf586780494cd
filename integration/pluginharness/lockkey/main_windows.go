// Command lockkey makes a registry key and gives it the access list that
// Windows gives CCG's: administrators may read it, SYSTEM owns it.
//
//	lockkey KEY           below HKEY_LOCAL_MACHINE
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "error: one key is wanted")
		os.Exit(2)
	}
	if err := lock(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func lock(path string) error {
	key, _, err := registry.CreateKey(registry.LOCAL_MACHINE, path, registry.ALL_ACCESS)
	if err != nil {
		return err
	}
	defer key.Close()
	sd, err := windows.SecurityDescriptorFromString("O:SYG:SYD:P(A;;KA;;;SY)(A;;KR;;;BA)")
	if err != nil {
		return err
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetSecurityInfo(windows.Handle(key), windows.SE_REGISTRY_KEY,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION, owner, nil, dacl, nil)
}
