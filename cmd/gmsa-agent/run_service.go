package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

const flagService = "service"

func serviceFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagService, Usage: "answer to Windows' service manager, which has started this process"}
}

// runService runs the agent, or the gate, as Windows' service manager has started
// it. What it would print goes to the log file: a service's standard error is
// nowhere.
func (s *session) runService(c *cli.Context, logName string, run func(context.Context, *cli.Context, func()) error) error {
	if runtime.GOOS != "windows" {
		return usagef("--%s: only Windows has a service manager that a program must answer to", flagService)
	}
	// A user who logs off is no reason to end: Go takes it for a SIGTERM.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)
	return service.Run(func(ctx context.Context, ready func()) error {
		cfg, _ := s.config(c) // what is wrong with it is said by run
		log, err := service.OpenLog(logFolder(cfg), logName)
		if err != nil {
			tellNotStarted(err)
			return &runError{err}
		}
		s.stderr = log // finish writes there, too; the file is closed with the process
		err = run(ctx, c, ready)
		if isUsage(err) {
			return &service.ConfigError{Err: err}
		}
		return err
	})
}
