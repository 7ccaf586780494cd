package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// The exit codes. Nothing else is ever returned.
const (
	exitDone   = 0
	exitFailed = 1 // what was asked failed, or is not valid
	exitUsage  = 2 // wrong usage or configuration
)

// usageError says that the command line is wrong.
type usageError struct {
	err  error
	hint string // empty: that of the table
}

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// configError says that the configuration could not be had.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// errNotValid says that the answer, which was given, is "no": exit code 1
// without a further word.
var errNotValid = errors.New("not valid")

// finish says what went wrong, if anything, and returns the exit code.
func (s *session) finish(err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errNotValid) {
		return exitFailed
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(s.stderr, "error: %s\n", printable(line))
	}
	if hint := s.hint(err); hint != "" {
		fmt.Fprintf(s.stderr, "hint: %s\n", hint)
	}
	if isUsage(err) {
		return exitUsage
	}
	return exitFailed
}

func isUsage(err error) bool {
	if _, ok := errors.AsType[*usageError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*configError](err); ok {
		return true
	}
	_, ok := errors.AsType[*config.Error](err)
	return ok
}
