package grant

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestACompactionThatFailsCostsNothingAndIsNotTriedAtEveryGrant(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, 0)
	add(t, r, sample("a", "ta"))
	tried := 0
	r.journal.rename = func(from, to string) error {
		tried++
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrPermission}
	}
	for i := range 3 * slack {
		g := sample("x", fmt.Sprint(i))
		add(t, r, g)
		if err := r.End(g); err != nil {
			t.Fatal(err)
		}
	}
	if tried == 0 || tried > 6 {
		t.Errorf("tried %d times in %d operations", tried, 6*slack)
	}
	if diff := cmp.Diff([]string{"g-a"}, live(reopen(t, r, dir))); diff != "" {
		t.Error(diff)
	}
}

func TestAJournalThatCouldNotBeOpenedAgainGoesOnOnceItCan(t *testing.T) {
	for _, renamed := range []bool{false, true} {
		t.Run(fmt.Sprintf("renamed=%v", renamed), func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, dir, 0)
			add(t, r, sample("a", "ta"))
			path, aside := filepath.Join(dir, journalName), filepath.Join(dir, "aside")
			// Whether the new journal takes its place or not, what stands
			// there then cannot be opened.
			inTheWay := false
			r.journal.rename = func(from, to string) error {
				if inTheWay {
					return fs.ErrPermission
				}
				inTheWay = true
				if renamed {
					if err := os.Rename(from, to); err != nil {
						return err
					}
				}
				if err := os.Rename(path, aside); err != nil {
					return err
				}
				if err := os.Mkdir(path, 0o700); err != nil {
					return err
				}
				if !renamed {
					return fs.ErrPermission
				}
				return nil
			}
			for i := 0; !inTheWay; i++ {
				g := sample("x", fmt.Sprint(i))
				add(t, r, g)
				if err := r.End(g); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Add(sample("b", "tb")); err == nil {
				t.Error("a grant was journaled in a folder")
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(aside, path); err != nil {
				t.Fatal(err)
			}
			add(t, r, sample("c", "tc"))
			if diff := cmp.Diff([]string{"g-a", "g-c"}, live(reopen(t, r, dir))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAClosedJournalTakesNoGrant(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(sample("a", "ta")); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Error(err)
	}
}
