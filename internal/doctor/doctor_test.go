package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFindingsComeInTheChecksOrder(t *testing.T) {
	first := make(chan struct{})
	got := Run(t.Context(), []Check{
		{Name: "slow", Look: func(context.Context) []Finding { <-first; return []Finding{okay("a"), named("own", okay("b"))} }},
		{Name: "fast", Look: func(context.Context) []Finding { close(first); return []Finding{skipped("h", "c")} }},
	})
	want := []Finding{{"slow", OK, "a", ""}, {"own", OK, "b", ""}, {"fast", Skipped, "c", "h"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestACheckThatHangsOrPanicsStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		defer close(forever) // the check is left behind, and a test must not leave it
		start := time.Now()
		got := Run(t.Context(), []Check{
			{Name: "hangs", Look: func(context.Context) []Finding { <-forever; return nil }},
			{Name: "panics", Look: func(context.Context) []Finding { panic("the password") }},
			{Name: "well", Look: func(context.Context) []Finding { return []Finding{okay("yes")} }},
		})
		if took := time.Since(start); took != patience {
			t.Errorf("took %v", took)
		}
		want := []Finding{
			{"hangs", Failed, "no answer: within 20s", ""},
			{"panics", Failed, "the check itself failed (string)", "report it, with the version: gmsa-agent version"},
			{"well", OK, "yes", ""},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// A group outlives what it waits for: the others' findings are told.
func TestAHangingPartOfAGroupLeavesTheOthersFindings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		defer close(forever)
		got := Run(t.Context(), []Check{{Name: "group", within: 2 * patience, Look: func(ctx context.Context) []Finding {
			return Run(ctx, []Check{
				{Name: "hangs", Look: func(context.Context) []Finding { <-forever; return nil }},
				{Name: "well", Look: func(context.Context) []Finding { return []Finding{okay("yes")} }},
			})
		}}})
		if len(got) != 2 || got[0].State != Failed || got[1] != (Finding{"well", OK, "yes", ""}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestOnlyAFailureIsUnhealthy(t *testing.T) {
	if !Healthy([]Finding{okay(""), warning("", ""), skipped("", "")}) || Healthy([]Finding{okay(""), failed("", "")}) {
		t.Error("not so")
	}
}

func TestWhatThePlatformLacksIsSkipped(t *testing.T) {
	if f := ofError(errors.ErrUnsupported, "x"); f.State != Skipped || f.Hint != "" {
		t.Errorf("%+v", f)
	}
	if f := ofError(errors.New("broken"), "x"); f.State != Failed || f.Hint != "x" {
		t.Errorf("%+v", f)
	}
}

func TestAFindingInJSONHasAllFields(t *testing.T) {
	b, err := json.Marshal(named("agent", okay("runs")))
	if err != nil || string(b) != `{"check":"agent","state":"ok","message":"runs","hint":""}` {
		t.Errorf("%s, %v", b, err)
	}
}

// find is the finding of that name.
func find(t *testing.T, found []Finding, name string) Finding {
	t.Helper()
	for _, f := range found {
		if f.Check == name {
			return f
		}
	}
	t.Fatalf("no finding %q in %+v", name, found)
	return Finding{}
}

// expect checks one finding; hint and says are parts of it.
func expect(t *testing.T, f Finding, state State, says, hint string) {
	t.Helper()
	if f.State != state || !strings.Contains(f.Message, says) || !strings.Contains(f.Hint, hint) || (hint == "") != (f.Hint == "") {
		t.Errorf("%+v, want %s, %q, hint %q", f, state, says, hint)
	}
}
