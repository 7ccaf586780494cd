//go:build !windows || !cgo

package main

func main() {
	unusable("unsupported on this platform, because Container Credential Guard exists on Windows only, and a DLL in Go needs cgo")
}
