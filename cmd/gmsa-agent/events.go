package main

import (
	"errors"
	"log/slog"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
)

//go:generate go run ../../internal/eventlog/messagefile/generate events_windows_amd64.syso

// recorder opens the Event Log for the agent's events. Without one there are
// none: that is no reason not to run.
func recorder(level config.EventLevel, log *slog.Logger) *eventlog.Recorder {
	least := map[config.EventLevel]eventlog.Severity{
		config.EventInfo: eventlog.Information, config.EventWarn: eventlog.Warning, config.EventError: eventlog.Error,
	}[level]
	if least == 0 {
		return nil
	}
	w, err := eventlog.Open()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		log.Warn("there will be no events", "error", err)
		return nil
	}
	return eventlog.NewRecorder(w, least, func(err error) { log.Warn("an event was not written", "error", err) })
}

// report writes a single event; a test has its own.
var report = eventlog.Report

// tellNotStarted tells Event Viewer of a start that did not get as far as a
// configuration: of a service there is nothing else to see.
func tellNotStarted(err error) {
	_ = report(eventlog.Entry{ID: eventlog.AgentStartFailed, Params: []string{err.Error()}}) // the error itself is on its way already
}
