package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

const (
	// answerTimeout bounds one question: an agent answers within milliseconds,
	// or it hangs and is asked anew.
	answerTimeout = 2 * time.Second
	// askAgain is between two questions to an agent that is not there yet.
	askAgain = 50 * time.Millisecond
)

// startAndWait starts a service; the agent has to answer, too, as the version
// that was to be started.
func (h *Host) startAndWait(ctx context.Context, d Definition, i *Installed, agent bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, h.Patience, fmt.Errorf("%w: it did not become ready within %v", fault.ErrUnavailable, h.Patience))
	defer cancel()
	if err := h.Manager.Start(ctx, d.Name); err != nil {
		return cause(ctx, err)
	}
	if !agent || h.Answer == nil {
		return nil
	}
	for {
		found, err := h.Manager.Look(d.Name)
		if err != nil {
			return err
		}
		if found.State == Stopped || found.State == Absent {
			return &EndedError{d.Name, found.Ended}
		}
		if err = h.answers(ctx, i, found); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(askAgain):
		}
	}
}

func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, fault.ErrUnavailable) {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// answers says why the agent that answers, if one does, is not the service's
// process with this version.
func (h *Host) answers(ctx context.Context, i *Installed, found Found) error {
	if h.Answer == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	a, err := h.Answer(ctx)
	switch {
	case err != nil:
		return err
	case a.Version != i.Version:
		return fmt.Errorf("%w: version %s answers, not %s", fault.ErrUnavailable, a.Version, i.Version)
	case found.PID != 0 && a.PID != 0 && a.PID != found.PID:
		return fmt.Errorf("%w: process %d answers, and the service is process %d", fault.ErrUnavailable, a.PID, found.PID)
	}
	return nil
}

// EndedError says that a service ended instead of running.
type EndedError struct {
	Service string
	How     string // in words; empty: it did not say
}

func (e *EndedError) Error() string {
	if e.How == "" {
		return "the service " + e.Service + " ended at once"
	}
	return fmt.Sprintf("the service %s ended: %s", e.Service, e.How)
}

func (e *EndedError) Unwrap() error { return fault.ErrUnavailable }
