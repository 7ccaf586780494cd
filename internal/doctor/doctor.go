// Package doctor looks at every link of the chain from a container to its gMSA
// on this host, and says of each what is wrong with it and what to do.
//
// It judges what others show it: the configuration, the running agent's status,
// the service's, the plugin's registration, domain controllers. Each check is
// bounded in time and on its own; one that hangs or panics is a finding and
// stops no other.
//
// The package refuses to change anything, to log on anywhere, and to know how
// findings are shown. No finding has a secret in it.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// State is what a finding comes to.
type State string

// The states.
const (
	OK      State = "ok"
	Warning State = "warning" // it works, or may; somebody should look
	Failed  State = "failed"
	Skipped State = "skipped" // not looked at; the message says why
)

// Finding is what a check found.
type Finding struct {
	Check   string `json:"check"`
	State   State  `json:"state"`
	Message string `json:"message"`
	Hint    string `json:"hint"` // what to do, which ends in the next command to type; empty: nothing
}

// Check looks at one link of the chain.
type Check struct {
	Name string // of findings that have no name of their own
	Look func(context.Context) []Finding

	// within is how long it may take; zero: patience. A check of several has to
	// outlive each of them.
	within time.Duration
}

// patience is how long a check may take: longer than the plugin takes for an
// answer (15 s), and than two exchanges with a domain controller.
const patience = 20 * time.Second

// Run does all checks at once and returns their findings in the checks' order.
// A check that does not heed the end of its time is left behind.
func Run(ctx context.Context, checks []Check) []Finding {
	results := make([]chan []Finding, len(checks))
	for i, check := range checks {
		results[i] = make(chan []Finding, 1)
		go func() { results[i] <- check.run(ctx) }()
	}
	all := []Finding{}
	for i := range checks {
		all = append(all, <-results[i]...)
	}
	return all
}

// run is the check within its bounds.
func (c Check) run(ctx context.Context) []Finding {
	within := cmp.Or(c.within, patience)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	done := make(chan []Finding, 1)
	go func() {
		defer func() {
			// What was panicked with may hold a secret: only its type is told.
			if p := recover(); p != nil {
				done <- []Finding{failed("report it, with the version: gmsa-agent version", "the check itself failed (%T)", p)}
			}
		}()
		done <- c.Look(ctx)
	}()
	var found []Finding
	select {
	case found = <-done:
	case <-ctx.Done():
		select {
		case found = <-done: // in the last moment
		default:
			found = []Finding{failed("", "no answer: %v", unanswered(ctx, within))}
		}
	}
	for i := range found {
		if found[i].Check == "" {
			found[i].Check = c.Name
		}
	}
	return found
}

func unanswered(ctx context.Context, within time.Duration) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("within %v", within)
	}
	return "the checks were interrupted"
}

// Healthy says whether nothing failed.
func Healthy(findings []Finding) bool {
	for _, f := range findings {
		if f.State == Failed {
			return false
		}
	}
	return true
}

func okay(format string, args ...any) Finding {
	return Finding{State: OK, Message: fmt.Sprintf(format, args...)}
}

func warning(hint, format string, args ...any) Finding {
	return Finding{State: Warning, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func failed(hint, format string, args ...any) Finding {
	return Finding{State: Failed, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func skipped(hint, format string, args ...any) Finding {
	return Finding{State: Skipped, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// named gives a finding a name of its own.
func named(name string, f Finding) Finding {
	f.Check = name
	return f
}

// ofError is the finding for a look that failed. What the platform does not have
// is nothing to look at.
func ofError(err error, hint string) Finding {
	if errors.Is(err, errors.ErrUnsupported) {
		return skipped("", "%v", err)
	}
	return failed(hint, "%v", err)
}
