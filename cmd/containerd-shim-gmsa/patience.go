package main

import (
	"context"
	"errors"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

const (
	// restartPatience is how long an agent that is not there is waited for. One
	// that is upgraded, or has crashed, is there again within half a second on a
	// host at rest; nobody who starts a container gives up in that time.
	restartPatience = 10 * time.Second
	// askAgain is between two attempts.
	askAgain = 50 * time.Millisecond
)

type askFunc = func(ctx context.Context, endpoint string, facts hook.Facts) (hook.Admission, error)

// patiently asks again while the agent is not there, or was cut off: a later
// admission of a container takes the place of an earlier one. Whatever the agent
// answers, and whoever else answers in its place, is final.
func patiently(ask askFunc, patience time.Duration) askFunc {
	return func(ctx context.Context, endpoint string, facts hook.Facts) (hook.Admission, error) {
		deadline := time.Now().Add(patience)
		for {
			admission, err := ask(ctx, endpoint, facts)
			if err == nil || !absent(err) || time.Now().After(deadline) {
				return admission, err
			}
			select {
			case <-ctx.Done():
				return admission, err
			case <-time.After(askAgain):
			}
		}
	}
}

func absent(err error) bool {
	_, answered := errors.AsType[*wire.Refusal](err)
	return !answered && errors.Is(err, fault.ErrUnavailable)
}
