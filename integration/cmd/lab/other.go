//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "error: the labs need Linux: they run Samba, Wine and containerd in namespaces of their own")
	os.Exit(1)
}
