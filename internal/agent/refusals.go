package agent

import (
	"fmt"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// A caller that is refused again and again must not push everything else out of
// the trail. Each kind of caller has a record for each refusal up to a burst,
// and then one each interval that says how many there were.
const (
	refusalBurst    = 20
	refusalInterval = 10 * time.Second
	maxRefusers     = 1024
)

// refusals counts the refusals of the channels by who was refused what.
type refusals struct {
	mu sync.Mutex
	by map[refuser]*count
}

type refuser struct {
	event       audit.Event
	image, user string
}

type count struct {
	since    time.Time // of the present interval
	recorded int       // in it
	left     int       // out of the trail since the last record
}

// thin says whether a refusal gets a record of its own, and puts into the
// record how many did not since the last one.
func (c *refusals) thin(r *audit.Record, now time.Time) (record bool) {
	if r.Peer == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil || len(c.by) >= maxRefusers {
		c.by = map[refuser]*count{}
	}
	who := refuser{r.Event, r.Peer.Image, r.Peer.User}
	n := c.by[who]
	if n == nil {
		n = &count{since: now}
		c.by[who] = n
	}
	if now.Sub(n.since) >= refusalInterval {
		n.since, n.recorded = now, 0
	}
	if n.recorded >= refusalBurst {
		n.left++
		return false
	}
	n.recorded++
	if n.left > 0 {
		r.Reason += fmt.Sprintf(" (and %d more like it before)", n.left)
		n.left = 0
	}
	return true
}
