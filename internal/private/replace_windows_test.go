package private

import "golang.org/x/sys/windows"

// replacesOpenFiles is false under Wine 8, whose server refuses to rename over
// a file that anybody has open.
func replacesOpenFiles() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() != nil
}
