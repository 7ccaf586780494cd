package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// agentTimeout is how long a person waits for an agent on the same host before
// it counts as hung.
const agentTimeout = 10 * time.Second

// agentError says that the running agent gave no answer, or a refusal.
type agentError struct{ err error }

func (e *agentError) Error() string { return e.err.Error() }
func (e *agentError) Unwrap() error { return e.err }

// ask puts one question to the running agent.
func (s *session) ask(c *cli.Context, verb string, in, out any) error {
	cfg, err := s.config(c)
	if err != nil {
		return err
	}
	return askAgent(c.Context, cfg.Channels.Control.Endpoint, verb, in, out)
}

// askAgent asks the agent at an endpoint.
func askAgent(ctx context.Context, endpoint, verb string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	conn, err := channel.Dial(ctx, channel.Control, endpoint)
	if err != nil {
		return &agentError{err}
	}
	defer conn.Close()
	if err := control.Call(ctx, conn, verb, in, out); err != nil {
		return &agentError{err}
	}
	return nil
}
