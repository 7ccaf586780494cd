package eventlog

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// Open opens this host's log for our source. It need not be registered (see
// [Install]): without it events are written, and Event Viewer has no words for
// them.
func Open() (Writer, error) {
	name, err := windows.UTF16PtrFromString(Source)
	if err != nil {
		return nil, err
	}
	h, err := windows.RegisterEventSource(nil, name)
	if err != nil {
		return nil, fmt.Errorf("the event log: %w", err)
	}
	return log{h}, nil
}

type log struct{ handle windows.Handle }

func (l log) Write(severity Severity, category uint16, id ID, params []string) error {
	strings := make([]*uint16, len(params))
	for i, p := range params {
		var err error
		if strings[i], err = windows.UTF16PtrFromString(p); err != nil {
			return fmt.Errorf("the event log: event %d: %w", id, err)
		}
	}
	var first **uint16
	if len(strings) > 0 {
		first = &strings[0]
	}
	if err := windows.ReportEvent(l.handle, uint16(severity), category, uint32(id), 0, uint16(len(strings)), 0, first, nil); err != nil {
		return fmt.Errorf("the event log: event %d: %w", id, err)
	}
	return nil
}

func (l log) Close() error { return windows.DeregisterEventSource(l.handle) }
