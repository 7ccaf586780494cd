package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/hook/docker/gate"
	"github.com/gmsa-agent/gmsa-agent/internal/daemon"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

func (s *session) dockerGateCommand() *cli.Command {
	return &cli.Command{
		Name:  "docker-gate",
		Usage: "run the gate that dockerd asks, in the foreground, until interrupted",
		Description: "The gate is dockerd's authorization plugin gmsa-agent, and a process beside the agent: while it does not run, dockerd " +
			"refuses every request. It asks the agent about containers that ask for a gMSA, and about no others. Logs go to standard error.",
		Flags: []cli.Flag{serviceFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			if c.Bool(flagService) {
				return s.runService(c, service.GateLogName, s.runGate)
			}
			return s.runGate(c.Context, c, func() {})
		},
	}
}

// runGate runs the gate until ctx ends; ready is called once, when it serves.
func (s *session) runGate(ctx context.Context, c *cli.Context, ready func()) error {
	cfg, err := s.config(c)
	if err != nil {
		return err
	}
	if err := gate.Run(ctx, daemon.Gate(cfg), s.logger(cfg.Log), ready); err != nil {
		return &gateError{err}
	}
	return nil
}

// gateError says why the gate did not start, or ended on its own.
type gateError struct{ err error }

func (e *gateError) Error() string { return e.err.Error() }
func (e *gateError) Unwrap() error { return e.err }
