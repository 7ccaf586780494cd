package grant

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestCheckRefusesWhatAddWouldRefuseForItsSize(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	for _, n := range []int{0, maxLine / 2, maxLine / 12, maxLine/6 - 200, maxLine / 6, maxLine, 2 * maxLine} {
		for _, text := range []string{"x", "\x01", "<", "é"} {
			g := sample("a", "ta")
			g.Image = strings.Repeat(text, n)
			checked, added := r.Check(g), r.Add(g)
			if (checked == nil) != (added == nil) {
				t.Errorf("%d times %q: Check says %v, Add %v", n, text, checked, added)
			}
			if checked != nil && !errors.Is(checked, fault.ErrMalformed) {
				t.Error(checked)
			}
			if g, ok := r.Redeemable("ta"); ok {
				if err := r.End(g); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestCheckLeavesNothingBehind(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	if err := r.Check(sample("a", "ta")); err != nil {
		t.Fatal(err)
	}
	if r.Len() != 0 {
		t.Error("a grant that was only checked is live")
	}
}
