// Package eventlog is what the agent tells Windows' Event Log: one table of
// events, each with an ID that never changes its meaning, and the way of an
// event into the log.
//
// Events are for the people who look after a host, and for what collects them.
// They are no evidence: any service can write events of any source. The
// evidence is the audit trail (package internal/audit), from whose records most
// events are made.
//
// The package is portable but for the log itself. It refuses to know when an
// event happens: that is said by whoever calls it. It is linked by the CCG
// plugin's DLL, and therefore depends on nothing but the standard library and
// x/sys.
package eventlog

import "fmt"

// Source is the events' source in the log Application.
const Source = "gmsa-agent"

// ID is an event's number, as Event Viewer shows it. Once published, a number is
// never given another meaning.
type ID uint16

// Severity is an event's level: the type that ReportEvent takes.
//
// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-reporteventw
type Severity uint16

// The severities.
const (
	Error       Severity = 0x0001 // EVENTLOG_ERROR_TYPE: something that was wanted does not happen
	Warning     Severity = 0x0002 // EVENTLOG_WARNING_TYPE: it happens, and somebody should look
	Information Severity = 0x0004 // EVENTLOG_INFORMATION_TYPE
)

// String is the level's name in Event Viewer.
func (s Severity) String() string {
	switch s {
	case Error:
		return "Error"
	case Warning:
		return "Warning"
	case Information:
		return "Information"
	}
	return fmt.Sprintf("Severity(%d)", uint16(s))
}

// Event is a row of the table.
type Event struct {
	ID       ID
	Severity Severity
	Name     string   // the audit trail's, where it has the event
	Text     string   // what happened; %1 is the first of Params
	Params   []string // what stands for %1, %2, …, in a word or two
	Remedy   string   // what to do; empty if there is nothing
}

// Category is the number of the event's task category; see [Categories].
func (e Event) Category() uint16 {
	for i, c := range Categories {
		if e.ID >= c.First && e.ID < c.First+categorySize {
			return uint16(i + 1)
		}
	}
	return 0
}

// Message is the event's whole text, as the message resource has it: with
// insertion strings, and with CR LF.
func (e Event) Message() string {
	text := e.Text + "\r\n"
	if e.Remedy != "" {
		text += "\r\nWhat to do: " + e.Remedy + "\r\n"
	}
	return text
}

// Entry is one occurrence of an event.
type Entry struct {
	ID     ID
	Params []string
	// Subject is what a repetition is of, where the parameters differ each time:
	// a container that is restarted again and again has a new name each time.
	// Empty: repetitions are told by the ID alone.
	Subject string
}

// Writer puts entries into a log, with their parameters as they are: what comes
// from outside is made safe before, by [Entry.Strings].
type Writer interface {
	Write(Severity, uint16, ID, []string) error
	Close() error
}

// Report writes one entry to this host's log, for programs that have a single
// thing to say. On a system without an Event Log it returns an error that wraps
// [errors.ErrUnsupported].
func Report(e Entry) error {
	w, err := Open()
	if err != nil {
		return err
	}
	event, err := find(e.ID)
	if err == nil {
		err = w.Write(event.Severity, event.Category(), e.ID, e.Strings(len(event.Params)))
	}
	if closed := w.Close(); err == nil {
		err = closed
	}
	return err
}

func find(id ID) (Event, error) {
	for _, e := range Table {
		if e.ID == id {
			return e, nil
		}
	}
	return Event{}, fmt.Errorf("the event log has no event %d in its table", id)
}
