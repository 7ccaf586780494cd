package pluginharness

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/pluginharness/script"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab/proxystub"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

// footprint is the harness's process after a round.
type footprint struct{ kib, handles, held int }

func (a answer) footprint(t testing.TB, round int) footprint {
	t.Helper()
	var f footprint
	line := a[fmt.Sprintf("footprint-%d", round)]
	if _, err := fmt.Sscanf(line, "kib %d handles %d held %d", &f.kib, &f.handles, &f.held); err != nil {
		t.Fatalf("round %d: %q: %v", round, line, err)
	}
	return f
}

// wantNothingLeft compares the last round with the first, after which the
// process has all the threads and connections that it needs.
func (a answer) wantNothingLeft(t testing.TB, rounds, calls int) (growth int) {
	t.Helper()
	first, last := a.footprint(t, 1), a.footprint(t, rounds)
	t.Logf("%d calls a round: after the first %+v, after the last %+v", calls, first, last)
	if last.held > first.held {
		t.Errorf("%d strings are held after the last round, %d after the first", last.held, first.held)
	}
	// Go's runtime opens four handles for each thread that it starts, and starts
	// some more on a busy machine. A handle lost in each call would be twice what
	// is allowed, or more.
	if last.handles > first.handles+calls/2 {
		t.Errorf("handles went from %d to %d", first.handles, last.handles)
	}
	return last.kib - first.kib
}

func TestManyThreadsGetTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	const rounds, calls, threads = 2, 40, 16
	args := []string{"inproc", "threads", strconv.Itoa(rounds), strconv.Itoa(calls)}
	for i := range threads {
		args = append(args, script.Token(fmt.Sprintf("thread %d", i)))
	}
	got := h.run(t, args...)
	if got["wrong"] != "0" || got["calls"] != strconv.Itoa(rounds*calls*threads) {
		t.Errorf("%s of %s calls went wrong, one with %s", got["wrong"], got["calls"], got["thread"])
	}
	got.wantNothingLeft(t, rounds, calls*threads)
}

func TestMemoryStaysFlatOverManyCalls(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	// Go's heap breathes by some MiB. So many calls that even one page lost in
	// each would be twice what is allowed.
	const rounds, calls, allowed = 3, 1000, 4 << 10
	got := h.run(t, "inproc", "repeat", strconv.Itoa(rounds), strconv.Itoa(calls), script.Token(script.Release))
	if got["result"] != result(ccgplugin.OK) {
		t.Fatalf("got %s", got["result"])
	}
	if growth := got.wantNothingLeft(t, rounds, calls); growth > allowed {
		t.Errorf("memory grew by %d KiB over %d calls", growth, (rounds-1)*calls)
	}
}

func TestManyThreadsThroughThePluginHost(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	const calls, threads = 20, 4
	args := []string{"local", "threads", "1", strconv.Itoa(calls)}
	for i := range threads {
		args = append(args, script.Token(fmt.Sprintf("thread %d", i)))
	}
	if got := h.run(t, args...); got["wrong"] != "0" || got["calls"] != strconv.Itoa(calls*threads) {
		t.Errorf("%s of %s calls went wrong, one with %s", got["wrong"], got["calls"], got["thread"])
	}
}

// hosts is how many plugin hosts there are, and their working sets together.
type hosts struct{ count, kib int }

func (a answer) hosts(t testing.TB, round int) hosts {
	t.Helper()
	var h hosts
	line := a[fmt.Sprintf("hosts-%d", round)]
	if _, err := fmt.Sscanf(line, "count %d kib %d", &h.count, &h.kib); err != nil {
		t.Fatalf("round %d: %q: %v", round, line, err)
	}
	return h
}

// As CCG has it on a busy host: one plugin host, and as many calls at once as
// containers start. All of it with -short is a hundredth of that.
func TestSixteenThreadsThroughOnePluginHost(t *testing.T) {
	const threads, rounds = 16, 10
	calls, allowed := 1000, 4<<10 // of each thread in each round: 10,000 in all
	if testing.Short() {
		calls, allowed = 10, 16<<10 // which is over before the process has all that it needs
	}
	h := newHost(t) // of its own, so that there is one plugin host
	if err := errors.Join(h.serve(t.Context(), "serve"), proxystub.Install(t.Context(), h.Lab)); err != nil {
		t.Fatal(err)
	}
	args := []string{"local", "shared", strconv.Itoa(rounds), strconv.Itoa(calls)}
	for i := range threads {
		args = append(args, script.Token(fmt.Sprintf("thread %d", i)))
	}
	start := time.Now()
	got := h.runFor(t, loadPatience, nil, args...)
	took := time.Since(start)
	if got["wrong"] != "0" || got["calls"] != strconv.Itoa(rounds*calls*threads) {
		t.Errorf("%s of %s calls went wrong, one with %s", got["wrong"], got["calls"], got["thread"])
	}
	var kib []int
	for round := 1; round <= rounds; round++ {
		h := got.hosts(t, round)
		if h.count != 1 {
			t.Errorf("%d plugin hosts after round %d: want one", h.count, round)
		}
		kib = append(kib, h.kib)
	}
	t.Logf("%d threads, %d calls each: %v, %.0f calls a second; KiB of the plugin host after each round: %v",
		threads, rounds*calls, took.Round(time.Second), float64(rounds*calls*threads)/took.Seconds(), kib)
	got.wantNothingLeft(t, rounds, calls*threads)
	// Go's heap breathes by some MiB from round to round, so that halves are
	// compared and not rounds: in the full size, 52 bytes lost in each call would
	// be more than is allowed.
	if growth := middle(kib[rounds/2:]) - middle(kib[:rounds/2]); growth > allowed {
		t.Errorf("the plugin host grew by %d KiB over %d calls: %v", growth, rounds/2*calls*threads, kib)
	}
}

// middle is the median.
func middle(values []int) int {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// loadPatience bounds the load test. Alone on two cores it takes a third of it.
const loadPatience = 18 * time.Minute

func TestFailingCallsLeaveNothing(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	const rounds, calls = 3, 100
	for line, want := range map[string]ccgplugin.HRESULT{
		script.Refuse + "2": ccgplugin.EUnknownGrant,
		script.CutWithin:    ccgplugin.ECutOff,
		script.NoPassword:   ccgplugin.EBadAnswer,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			got := h.run(t, "inproc", "repeat", strconv.Itoa(rounds), strconv.Itoa(calls), script.Token(line))
			if got["result"] != result(want) {
				t.Errorf("got %s, want %s", got["result"], want)
			}
			got.wantNothingLeft(t, rounds, calls)
		})
	}
}
