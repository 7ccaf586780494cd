//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "error: the demo needs Linux: it runs Windows programs under Wine and domain controllers in namespaces")
	os.Exit(1)
}
