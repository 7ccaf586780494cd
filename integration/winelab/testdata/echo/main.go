// Command echo prints the operating system and its arguments.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() { fmt.Printf("%s %q\n", runtime.GOOS, os.Args[1:]) }
