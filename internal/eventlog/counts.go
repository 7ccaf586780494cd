package eventlog

import (
	"hash/maphash"
	"time"
)

// A container that is refused and restarted again and again must not push
// everything else out of the log, which holds some 20,000 events. In each
// interval the first few events of one subject are written, and of one ID; the
// rest is counted, and the interval ends with one event that says how many
// there were.
const (
	repeatInterval = 10 * time.Minute
	mostOfASubject = 5
	mostOfAnID     = 200
	mostSubjects   = 4096 // in an interval; what comes then is told by its ID alone
)

// counts are what was seen in an interval.
type counts struct {
	since    time.Time
	subjects map[subject]int
	ids      map[ID]int
	left     map[ID]int // not written
}

// subject tells repetitions; of an entry's own Subject only the sum is kept.
type subject struct {
	id ID
	of uint64
}

var seed = maphash.MakeSeed()

func newCounts(now time.Time) counts {
	return counts{since: now, subjects: map[subject]int{}, ids: map[ID]int{}, left: map[ID]int{}}
}

// first says whether an entry is among the first ones, which are written.
func (c *counts) first(e Entry) bool {
	s := subject{e.ID, maphash.String(seed, e.Subject)}
	few := true
	if e.Subject != "" && (c.subjects[s] > 0 || len(c.subjects) < mostSubjects) {
		c.subjects[s]++
		few = c.subjects[s] <= mostOfASubject
	}
	if few && c.ids[e.ID] < mostOfAnID {
		c.ids[e.ID]++
		return true
	}
	c.left[e.ID]++
	return false
}
