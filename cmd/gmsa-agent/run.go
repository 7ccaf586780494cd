package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/daemon"
	"github.com/gmsa-agent/gmsa-agent/internal/quiet"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

func (s *session) runCommand() *cli.Command {
	return &cli.Command{
		Name:        "run",
		Usage:       "run the agent in the foreground, until interrupted",
		Description: "Logs go to standard error. A changed configuration file is picked up while the agent runs.",
		Flags: []cli.Flag{
			serviceFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			if c.Bool(flagService) {
				return s.runService(c, service.LogName, s.runAgent)
			}
			return s.runAgent(c.Context, c, func() {})
		},
	}
}

// runAgent runs the agent until ctx ends; ready is called once, when it serves.
func (s *session) runAgent(ctx context.Context, c *cli.Context, ready func()) error {
	cfg, err := s.config(c)
	if err != nil {
		tellNotStarted(err)
		return err
	}
	log := s.logger(cfg.Log)
	events := recorder(cfg.EventLog.Level, log)
	defer func() {
		if err := events.Close(); err != nil {
			log.Warn("the last events may not have been written", "error", err)
		}
	}()
	if taken := quiet.Taken(); len(taken) > 0 {
		log.Warn("what libraries would print of requests shows secrets, and stays off", "environment", taken)
	}
	serves := func() {
		ready()
		if err := service.NotifyReady(); err != nil {
			log.Warn("systemd does not know that the agent is ready", "error", err)
		}
	}
	if err := daemon.Run(ctx, cfg, thisBuild().Version, log, serves, daemon.WithEvents(events)); err != nil {
		return &runError{err}
	}
	return nil
}

// runError says why the agent did not start, or ended on its own.
type runError struct{ err error }

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }
