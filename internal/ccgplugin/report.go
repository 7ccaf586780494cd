package ccgplugin

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
)

// Bounds of what the plugin tells the event log. A container that is restarted
// again and again fails in one way each time; see package eventlog, whose own
// bounds are the same.
const (
	reportInterval = 10 * time.Minute
	mostReports    = 5 // of one result in an interval

	// reportPatience is how long a call that has failed waits for the log. A log
	// that hangs must not keep CCG, and with it the container's creation.
	reportPatience = 500 * time.Millisecond
)

// Reporter writes the plugin's failures to the event log: CCG tells users a
// number at most. It is safe for concurrent use; the zero value writes to this
// host's log.
type Reporter struct {
	open func() (eventlog.Writer, error) // nil: eventlog.Open

	mu      sync.Mutex
	since   time.Time       // of the interval
	written map[HRESULT]int // in it
	left    map[HRESULT]int // not written since the last one that was
	writing bool            // a write has not come back
}

// Report writes the event of a failure, if it is among the first of its kind.
// It waits for [reportPatience] at most, and never fails: that the call did is
// what CCG is told.
func (r *Reporter) Report(err error) {
	result := Result(err)
	if result == OK {
		return
	}
	entry, ok := r.entry(result, err)
	if !ok {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			_ = recover() // it would end the plugin host
			r.mu.Lock()
			defer r.mu.Unlock()
			r.writing = false
		}()
		r.write(entry)
	}()
	timer := time.NewTimer(reportPatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// entry is the event of a failure; not ok: it is only counted.
func (r *Reporter) entry(result HRESULT, err error) (eventlog.Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.written == nil || now.Sub(r.since) >= reportInterval {
		r.since, r.written = now, map[HRESULT]int{}
	}
	if r.left == nil {
		r.left = map[HRESULT]int{}
	}
	if r.writing || r.written[result] >= mostReports {
		r.left[result]++
		return eventlog.Entry{}, false
	}
	cause := "none was given"
	if e, ok := errors.AsType[*Error](err); ok {
		cause = e.Err.Error()
	} else if err != nil {
		cause = err.Error()
	}
	if n := r.left[result]; n > 0 {
		cause += fmt.Sprintf(" (and %d more like it before)", n)
		r.left[result] = 0
	}
	r.written[result]++
	r.writing = true
	return eventlog.Entry{ID: eventOf(result), Params: []string{result.String(), cause}}, true
}

func (r *Reporter) write(e eventlog.Entry) {
	open := r.open
	if open == nil {
		open = eventlog.Open
	}
	w, err := open()
	if err != nil {
		return // there is nobody left to tell
	}
	defer w.Close() //nolint:errcheck // there is nobody left to tell
	category := eventlog.Event{ID: e.ID}.Category()
	_ = w.Write(eventlog.Error, category, e.ID, e.Strings(len(e.Params))) // as above
}
