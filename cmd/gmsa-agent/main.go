// Command gmsa-agent is the agent and its command line.
//
// The package parses arguments, reads the configuration, and says in words what
// the packages behind it answer: it alone knows exit codes, hints, colour and
// the terminal. It refuses to decide anything that the agent decides.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program: it returns the process's exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second signal ends the process at once: what is busy with itself
	// does not look at its context.
	defer context.AfterFunc(ctx, stop)()
	s := newSession(stdin, stdout, stderr)
	return s.finish(s.app().RunContext(ctx, args))
}
