// Command generate writes the object file that links the events' message
// resource into gmsa-agent.exe:
//
//	go generate ./cmd/gmsa-agent
package main

import (
	"fmt"
	"os"

	"github.com/gmsa-agent/gmsa-agent/internal/eventlog/catalog"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog/messagefile"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "error: wanted the name of the file to write")
		os.Exit(2)
	}
	object := messagefile.Object(messagefile.Resource(messagefile.Messages(catalog.Events())))
	if err := os.WriteFile(os.Args[1], object, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
