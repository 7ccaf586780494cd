package service

import (
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// ExitCode is what the agent tells Windows' service manager when it ends: the
// service-specific exit code, which `sc query` and event 7024 of the system's
// log show. Once published, a number is never given another meaning.
type ExitCode uint32

// The exit codes. ExitCodes explains them.
const (
	ExitWell          ExitCode = 0
	ExitFailed        ExitCode = 1
	ExitConfiguration ExitCode = 2
	ExitUnavailable   ExitCode = 3
	ExitDenied        ExitCode = 4
	ExitUnsupported   ExitCode = 5
	ExitPanic         ExitCode = 6
)

// ExitCodeEntry explains one exit code to an administrator.
type ExitCodeEntry struct {
	Code    ExitCode
	Meaning string
	Remedy  string
}

// ExitCodes has every exit code. docs/windows.md is compared with it by a test.
var ExitCodes = []ExitCodeEntry{
	{ExitWell, "The service was stopped.", "None."},
	{ExitFailed, "The agent could not start, or a part of it ended by itself.", "The agent's log, `agent.log` in its state folder, ends with the reason."},
	{ExitConfiguration, "The configuration is not valid, or cannot be read.", "`gmsa-agent config validate` names the places."},
	{ExitUnavailable, "Something that the agent needs is taken or not there: another agent runs on the same state folder, or serves the same pipes.", "`gmsa-agent status` says whether an agent runs. End it, then `gmsa-agent service start`."},
	{ExitDenied, "A folder or a file of the agent could be changed by others, or the agent may not use it.", "The log names it. Give it to administrators alone."},
	{ExitUnsupported, "The configuration wants something that this host does not have.", "The log says what."},
	{ExitPanic, "The agent itself failed.", "Report it, with the end of the log. Windows starts it again."},
}

func (c ExitCode) String() string {
	for _, e := range ExitCodes {
		if e.Code == c {
			return fmt.Sprintf("exit code %d: %s", uint32(c), e.Meaning)
		}
	}
	return fmt.Sprintf("exit code %d", uint32(c))
}

// ConfigError marks an error of the configuration, for [ExitCodeOf].
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// ExitCodeOf is the exit code for the error with which the agent ended.
func ExitCodeOf(err error) ExitCode {
	if err == nil {
		return ExitWell
	}
	if _, ok := errors.AsType[*ConfigError](err); ok {
		return ExitConfiguration
	}
	switch {
	case errors.Is(err, fault.ErrDenied):
		return ExitDenied
	case errors.Is(err, fault.ErrUnavailable):
		return ExitUnavailable
	case errors.Is(err, errors.ErrUnsupported):
		return ExitUnsupported
	}
	return ExitFailed
}
