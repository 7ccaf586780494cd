package main

import (
	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/hook/docker/gate"
	"github.com/gmsa-agent/gmsa-agent/internal/daemon"
)

func (s *session) dockerGateCommand() *cli.Command {
	return &cli.Command{
		Name:  "docker-gate",
		Usage: "run the gate that dockerd asks, in the foreground, until interrupted",
		Description: "The gate is dockerd's authorization plugin gmsa-agent, and a process beside the agent: while it does not run, dockerd " +
			"refuses every request. It asks the agent about containers that ask for a gMSA, and about no others. Logs go to standard error.",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			cfg, err := s.config(c)
			if err != nil {
				return err
			}
			if err := gate.Run(c.Context, daemon.Gate(cfg), s.logger(cfg.Log), func() {}); err != nil {
				return &gateError{err}
			}
			return nil
		},
	}
}

// gateError says why the gate did not start, or ended on its own.
type gateError struct{ err error }

func (e *gateError) Error() string { return e.err.Error() }
func (e *gateError) Unwrap() error { return e.err }
