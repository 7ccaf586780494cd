package service

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sys/windows/svc"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Run runs the agent as the Windows service that the service manager has
// started this process for, until the manager says otherwise or agent ends.
// Agent calls ready once. The error is agent's.
//
// Whether the manager has started us cannot be asked: what Windows' own
// function answers is wrong in containers. So the caller says it.
func Run(agent func(ctx context.Context, ready func()) error) error {
	h := &handler{agent: agent}
	if err := svc.Run(Name, h); err != nil {
		return fmt.Errorf("%w: the service manager did not start this process: %w", fault.ErrUnavailable, err)
	}
	return h.err
}

type handler struct {
	agent func(context.Context, func()) error
	err   error
}

// waitHint is how long the manager is asked to wait for a start or an end, in
// milliseconds. The agent is ready in half a second, and gives requests under
// way ten seconds.
const waitHint = 30_000

// Execute is that of svc.Handler.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	status <- svc.Status{State: svc.StartPending, WaitHint: waitHint}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		panicked := true
		defer func() {
			if panicked {
				ended <- &panicError{recover(), debug.Stack()}
			}
		}()
		err := h.agent(ctx, func() { close(ready) })
		panicked = false
		ended <- err
	}()
	// Preshutdown comes before the services that containers run in are stopped.
	const accepts = svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPreShutdown
	current := svc.Status{State: svc.StartPending, WaitHint: waitHint}
	for {
		select {
		case <-ready:
			ready = nil
			if current.State == svc.StartPending {
				current = svc.Status{State: svc.Running, Accepts: accepts}
				status <- current
			}
		case err := <-ended:
			h.err = err
			status <- svc.Status{State: svc.StopPending}
			c := ExitCodeOf(err)
			if _, panicked := err.(*panicError); panicked { //nolint:errorlint // made above
				c = ExitPanic
			}
			return c != ExitWell, uint32(c)
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- current
			case svc.Stop, svc.Shutdown, svc.PreShutdown:
				current = svc.Status{State: svc.StopPending, WaitHint: waitHint}
				status <- current
				stop()
			}
		}
	}
}

// panicError is a panic of the agent.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }
