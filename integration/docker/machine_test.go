package docker

import (
	"context"
	"net/http"
	"testing"
)

// machine is a Docker and what is the platform's of the programs around it.
type machine interface {
	// docker runs Docker's command line. The error is a *dockerError.
	docker(ctx context.Context, args ...string) (string, error)
	// compose runs docker compose in a folder, and returns all that it prints.
	compose(ctx context.Context, folder string, args ...string) (string, error)
	api() *http.Client // every host is dockerd
	endpoint() string  // of its API, as the configuration has it
	root() string      // its data folder
	// gate is where the gate listens.
	gate() string
	// channel is an endpoint for one of the agent's channels.
	channel(name string) string
	// gated has dockerd ask the gate, which listens already.
	gated(ctx context.Context) error
	// restart stops dockerd and starts it again.
	restart(ctx context.Context) error
	image() string
	// run are the arguments of a container that does nothing and runs.
	run() []string
	// fails are those of one that ends at once, with an exit code that is not 0.
	fails() []string
	// mortal are those of one that runs until suicide ends it.
	mortal() []string
	// asks are the options of a container that gets the credential spec in a file
	// of Docker's folder.
	asks(file string) []string
	// composed is a service's part of a compose file that asks for one.
	composed(file string) string
	// suicide is a command that, executed in such a container, ends it.
	suicide() []string
	// start starts a program that ends with the test at the latest.
	start(path string, args []string, log string) (process, error)
}

// process is a program that runs.
type process interface {
	Kill()         // at once, and waits
	Pause() error  // as if it hung
	Resume() error // ends that
	Exited() error // nil while it runs
	LogTail() string
}

// dockerError is how a command failed.
type dockerError struct {
	code int
	text string // what it printed on standard error
}

func (e *dockerError) Error() string { return e.text }

// each runs a test with each Docker that there is, on a machine with the agent and
// the gate. Where there is none, that is said as a skip.
func each(t *testing.T, settings map[string]any, f func(h *host)) {
	t.Helper()
	all := machines()
	if len(all) == 0 {
		t.Skip(whyNone())
	}
	for name, start := range all {
		t.Run(name, func(t *testing.T) {
			if parallel {
				t.Parallel() // each has a Docker of its own
			}
			f(newHost(t, start(t), settings))
		})
	}
}
