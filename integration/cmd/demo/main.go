//go:build linux

// Command demo runs the whole chain on the labs and shows it hop by hop, from
// a container's creation to a Kerberos ticket as its gMSA. It ends with a table
// of who became whom, and with exit code 0 only if every hop was seen to
// happen: it believes the records of HCS's and CCG's doubles, the domain
// controllers' answers and the agent's audit trail, not that a command
// returned.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := run(ctx, newScreen(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "\nerror:", err)
		os.Exit(1)
	}
}
