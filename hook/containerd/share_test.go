package containerd

import (
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

func TestTheContainersOfSeveralContainerdsAreReportedTogether(t *testing.T) {
	r := &recorder{}
	all := Share(r, 2)
	live := func(i int, asOf hook.Mark, ids ...string) {
		var keys []hook.Key
		for _, id := range ids {
			keys = append(keys, key(id))
		}
		if err := all[i].Live(t.Context(), Runtime, asOf, keys); err != nil {
			t.Fatal(err)
		}
	}
	live(0, 5, "a", "b")
	r.never(t, "live") // nothing is known of the other one
	live(1, 3, "c")
	r.wait(t, 1, "live containerd 3 [default/a default/b default/c]")
	live(0, 9, "a")
	r.wait(t, 1, "live containerd 3 [default/a default/c]")
	if one := Share(r, 1); len(one) != 1 || one[0] != hook.Tracker(r) {
		t.Errorf("for one watch: %v", one)
	}
}
