package containerd

import (
	"context"
	"slices"
	"sync"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// Share returns trackers for n watches of different containerds that report to
// one tracker. All their containers have the same Runtime, and a tracker takes
// what Live does not name for gone; so the containers of one containerd are
// reported together with the last known ones of the others, as of the oldest
// listing, and only when each has been listed.
func Share(tracker hook.Tracker, n int) []hook.Tracker {
	if n == 1 {
		return []hook.Tracker{tracker}
	}
	s := &shared{listings: make([]*listing, n)}
	all := make([]hook.Tracker, n)
	for i := range all {
		all[i] = &share{Tracker: tracker, shared: s, index: i}
	}
	return all
}

type listing struct {
	asOf hook.Mark
	keys []hook.Key
}

type shared struct {
	mu       sync.Mutex
	listings []*listing
}

type share struct {
	hook.Tracker
	shared *shared
	index  int
}

// Live implements [hook.Tracker].
func (s *share) Live(ctx context.Context, runtime string, asOf hook.Mark, keys []hook.Key) error {
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	s.shared.listings[s.index] = &listing{asOf, slices.Clone(keys)}
	var all []hook.Key
	for _, l := range s.shared.listings {
		if l == nil {
			return nil
		}
		asOf = min(asOf, l.asOf)
		all = append(all, l.keys...)
	}
	return s.Tracker.Live(ctx, runtime, asOf, all)
}
