package ccgplugin

import "github.com/gmsa-agent/gmsa-agent/internal/eventlog"

// The events of the plugin's own results: the number of a result of ours within
// its facility, counted from the first; the system's follow.
const (
	firstEvent       eventlog.ID = 5000
	firstSystemEvent eventlog.ID = 5100
)

// Events are the rows of the event table for every failure of [Table].
func Events() []eventlog.Event {
	var events []eventlog.Event
	for _, e := range Table {
		if e.Code == OK {
			continue
		}
		events = append(events, eventlog.Event{
			ID: eventOf(e.Code), Severity: eventlog.Error, Name: e.Name,
			Text:   "Container Credential Guard asked the plugin for a container's plugin user and got nothing: %1.\r\n\r\n" + e.Meaning + "\r\n\r\nCause: %2",
			Params: []string{"result", "cause"},
			Remedy: e.Remedy,
		})
	}
	return events
}

// eventOf is the ID of a failure's event.
func eventOf(h HRESULT) eventlog.ID {
	switch h {
	case EPointer:
		return firstSystemEvent + 1
	case EOutOfMemory:
		return firstSystemEvent + 2
	case EUnexpected:
		return firstSystemEvent + 3
	}
	return firstEvent + eventlog.ID(h&0xFF)
}
