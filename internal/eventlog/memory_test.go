package eventlog

import "sync"

// memory is a log that keeps what it is given.
type memory struct {
	mu      sync.Mutex
	entries []Entry
	closed  bool
	hold    chan struct{} // if not nil, each write waits for it
	fail    error
}

func (m *memory) Write(_ Severity, _ uint16, id ID, params []string) error {
	if m.hold != nil {
		<-m.hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.entries = append(m.entries, Entry{ID: id, Params: params})
	return nil
}

func (m *memory) Close() error {
	m.closed = true
	return nil
}

func (m *memory) count(id ID) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		if e.ID == id {
			n++
		}
	}
	return n
}
