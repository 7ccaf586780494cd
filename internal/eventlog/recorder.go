package eventlog

import (
	"fmt"
	"sync"
	"time"
)

// Recorder takes entries from whoever has one, without making him wait, and
// writes them one after the other. What happens again and again is counted
// after a while, and not written. A nil Recorder takes entries and drops them.
type Recorder struct {
	writer Writer
	least  Severity // what is less severe is not written
	queue  chan Entry
	stop   chan struct{}
	ended  chan struct{}
	failed func(error)

	mu   sync.Mutex
	lost map[ID]int // that found the queue full
}

// queueLength is how many entries may wait for a log that is slow: a second's,
// on a host on which everything fails at once.
const queueLength = 256

// closePatience is how long Close waits for the log.
const closePatience = 2 * time.Second

// NewRecorder writes to w, and closes it in the end. Failed is told why an entry
// was not written; it may be nil.
func NewRecorder(w Writer, least Severity, failed func(error)) *Recorder {
	r := &Recorder{
		writer: w, least: least, failed: failed,
		queue: make(chan Entry, queueLength), stop: make(chan struct{}), ended: make(chan struct{}),
		lost: map[ID]int{},
	}
	go r.run()
	return r
}

// Record writes an entry, soon. It never blocks and never fails: what an event
// tells of has happened, whether or not the log takes it.
func (r *Recorder) Record(e Entry) {
	if r == nil {
		return
	}
	select {
	case r.queue <- e:
	default:
		r.mu.Lock()
		r.lost[e.ID]++
		r.mu.Unlock()
	}
}

// Close writes what waits, for a moment at most, and closes the log. A later
// Record is dropped.
func (r *Recorder) Close() error {
	if r == nil {
		return nil
	}
	close(r.stop)
	select {
	case <-r.ended:
		return r.writer.Close()
	case <-time.After(closePatience):
		return fmt.Errorf("the event log does not answer")
	}
}

func (r *Recorder) run() {
	defer close(r.ended)
	var seen counts
	var end <-chan time.Time // of the interval
	one := func(e Entry) {
		if end == nil {
			end = time.After(repeatInterval)
			seen = newCounts(time.Now())
		}
		if seen.first(e) {
			r.write(e)
		}
	}
	for {
		select {
		case e := <-r.queue:
			one(e)
		case <-end:
			r.summarize(&seen)
			end = nil
		case <-r.stop:
			for {
				select {
				case e := <-r.queue:
					one(e)
					continue
				default:
				}
				if end != nil {
					r.summarize(&seen)
				}
				return
			}
		}
	}
}

func (r *Recorder) summarize(seen *counts) {
	r.mu.Lock()
	for id, n := range r.lost {
		seen.left[id] += n
	}
	clear(r.lost)
	r.mu.Unlock()
	for _, e := range Table {
		if n := seen.left[e.ID]; n > 0 && e.Severity <= r.least {
			r.write(Entry{ID: Repeated, Params: []string{fmt.Sprint(e.ID), e.Name, fmt.Sprint(n), seen.since.UTC().Format(time.RFC3339)}})
		}
	}
}

// write writes an entry, if it is severe enough.
func (r *Recorder) write(e Entry) {
	event, err := find(e.ID)
	if err == nil {
		if event.Severity > r.least { // the numbers grow as the severity falls
			return
		}
		err = r.writer.Write(event.Severity, event.Category(), e.ID, e.Strings(len(event.Params)))
	}
	if err != nil && r.failed != nil {
		r.failed(err)
	}
}
