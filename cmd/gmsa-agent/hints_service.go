package main

import (
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

// serviceHints are the rows of the table of hints for the host's service.
var serviceHints = []struct {
	kind func(error) bool
	hint func(s *session, err error) string
}{
	{func(error) bool { return errors.Is(mayChangeHost(), fault.ErrDenied) }, func(s *session, _ error) string {
		return fmt.Sprintf("run it as an administrator (%s): %s", administrator, s.command)
	}},
	{as[*packageIncomplete], func(*session, error) string {
		return "run it from the folder of the unpacked package: gmsa-agent service install"
	}},
	{is(service.ErrNotInstalled), func(*session, error) string {
		return "from the folder of an unpacked package: gmsa-agent service install"
	}},
	{as[*service.RolledBackError], func(s *session, _ error) string {
		return "what the agent said is in " + whereLogs + "; see what is there now: " + s.again("service status")
	}},
	{as[*service.EndedError], func(s *session, _ error) string {
		return "what the agent said is in " + whereLogs + "; check its configuration: " + s.again("config validate")
	}},
	{is(errors.ErrUnsupported), func(s *session, _ error) string {
		return "without a service manager, in the foreground: " + s.again("run")
	}},
	{is(fault.ErrUnavailable), func(s *session, _ error) string {
		return "see what is there: " + s.again("service status")
	}},
	{is(fault.ErrDenied), func(s *session, _ error) string {
		return "give it to administrators alone, or unpack the package where only they can write; then: " + s.command
	}},
}

func ofService(s *session, err error) string {
	for _, row := range serviceHints {
		if row.kind(err) {
			return row.hint(s, err)
		}
	}
	return ""
}
