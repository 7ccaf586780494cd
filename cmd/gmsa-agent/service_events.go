package main

import (
	"errors"

	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

// tellOfService tells Event Viewer what became of the host: an upgrade is given
// by a program as often as by a person, who sees what it prints.
func tellOfService(r *service.Report, err error) {
	if e, ok := serviceEvent(r, err); ok {
		_ = report(e) // what was done is done, and said, without it
	}
}

// serviceEvent is the event of an operation; none if nothing was to do, or if
// nothing was begun.
func serviceEvent(r *service.Report, err error) (e eventlog.Entry, ok bool) {
	if back, is := errors.AsType[*service.RolledBackError](err); is {
		undo := ""
		if back.Undo != nil {
			undo = back.Undo.Error()
		}
		return eventlog.Entry{ID: eventlog.ServiceRolledBack, Params: []string{back.Version, back.Back, back.Cause.Error(), undo}}, true
	}
	switch {
	case r == nil || !r.Changed:
		return eventlog.Entry{}, false
	case err != nil:
		return eventlog.Entry{ID: eventlog.ServiceFailed, Params: []string{string(r.Operation), err.Error()}}, true
	case r.Operation == service.Uninstall:
		return eventlog.Entry{ID: eventlog.ServiceRemoved, Params: []string{r.Version}}, true
	case r.Previous != "":
		return eventlog.Entry{ID: eventlog.ServiceUpgraded, Params: []string{r.Version, r.Previous}}, true
	}
	return eventlog.Entry{ID: eventlog.ServiceInstalled, Params: []string{r.Version}}, true
}
