package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/grant"
)

// confirmed knows of which runtimes the containers were listed since the agent
// started.
type confirmed map[string]*listing

type listing struct {
	once sync.Once
	done chan struct{}
}

func waitFor(runtimes []string) confirmed {
	c := confirmed{}
	for _, r := range runtimes {
		c[r] = &listing{done: make(chan struct{})}
	}
	return c
}

func (c confirmed) listed(runtime string) {
	if l, ok := c[runtime]; ok {
		l.once.Do(func() { close(l.done) })
	}
}

// confirmWait is how long a redemption waits for a runtime to list its
// containers. A watch that can connect has listed within a second; one that
// cannot would keep CCG waiting for nothing.
const confirmWait = 5 * time.Second

// wait waits until it is known whether the container of an earlier agent's
// grant still exists.
func (c confirmed) wait(ctx context.Context, g grant.Grant) error {
	l, ok := c[g.Container.Runtime]
	if !ok || !g.Restored() {
		return nil
	}
	timer := time.NewTimer(confirmWait)
	defer timer.Stop()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
	case <-timer.C:
	}
	return fmt.Errorf("the agent was restarted and %s has not said yet which containers exist: %w", g.Container.Runtime, fault.ErrUnavailable)
}
