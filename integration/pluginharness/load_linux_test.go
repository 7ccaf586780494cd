package pluginharness

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/pluginharness/script"
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
