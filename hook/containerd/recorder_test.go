package containerd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// recorder is an agent that writes down what it is told.
type recorder struct {
	mu      sync.Mutex
	entries []string
	marks   hook.Mark
	refuse  bool
	holds   string        // the container that holds a grant
	failing bool          // Ended fails
	slow    chan struct{} // admissions of the container "slow" wait for it
}

func (r *recorder) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, fmt.Sprintf(format, args...))
}

// document is what a container is admitted with.
func document(k hook.Key) string { return `{"admitted":"` + k.ID + `"}` }

// Admit implements [hook.Admitter]. As the agent does, it knows its own documents.
func (r *recorder) Admit(ctx context.Context, f hook.Facts) (hook.Admission, error) {
	r.mu.Lock()
	refuse, slow := r.refuse, r.slow
	r.mu.Unlock()
	if f.ID == "slow" && slow != nil {
		select {
		case <-slow:
		case <-ctx.Done():
			return hook.Admission{}, ctx.Err()
		}
	}
	ref, _ := f.Ask()
	r.add("admit %s %s", f.ID, ref)
	if refuse {
		return hook.Admission{}, fmt.Errorf("%s: %w", ref, fault.ErrDenied)
	}
	return hook.Admission{Document: []byte(document(f.Key)), Grant: "g"}, nil
}

// Admitted implements [hook.Admitter].
func (r *recorder) Admitted(_ context.Context, f hook.Facts) error {
	r.add("checked %s", f.ID)
	if f.CredentialSpec != document(f.Key) {
		return fmt.Errorf("another document: %w", fault.ErrDenied)
	}
	return nil
}

// Holds implements [hook.Admitter].
func (r *recorder) Holds(k hook.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holds == k.ID
}

// Mark implements [hook.Tracker].
func (r *recorder) Mark() hook.Mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks++
	r.entries = append(r.entries, fmt.Sprintf("mark %d", r.marks))
	return r.marks
}

// Live implements [hook.Tracker].
func (r *recorder) Live(_ context.Context, runtime string, asOf hook.Mark, keys []hook.Key) error {
	var ids []string
	for _, k := range keys {
		ids = append(ids, k.Namespace+"/"+k.ID)
	}
	slices.Sort(ids)
	r.add("live %s %d %v", runtime, asOf, ids)
	return nil
}

// Ended implements [hook.Tracker].
func (r *recorder) Ended(_ context.Context, k hook.Key, _ time.Time, _ string) error {
	r.add("ended %s", k)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing {
		return errors.New("the disk is full")
	}
	return nil
}

// Lost implements [hook.Tracker].
func (r *recorder) Lost(_ context.Context, k hook.Key, reason string) error {
	r.add("lost %s: %s", k.ID, reason)
	return nil
}

// all returns what was written down.
func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.entries)
}

// wait waits until the entry is written down for the nth time.
func (r *recorder) wait(t *testing.T, n int, entry string) {
	t.Helper()
	eventually(t, func() error {
		got := 0
		for _, e := range r.all() {
			if e == entry {
				got++
			}
		}
		if got < n {
			return fmt.Errorf("%q is there %d times, want %d, in %q", entry, got, n, r.all())
		}
		return nil
	})
}

// never fails if an entry with the prefix was written down.
func (r *recorder) never(t *testing.T, prefix string) {
	t.Helper()
	for _, e := range r.all() {
		if len(e) >= len(prefix) && e[:len(prefix)] == prefix {
			t.Errorf("unexpected: %s", e)
		}
	}
}

func eventually(t *testing.T, cond func() error) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}
