package private

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAReplacementThatFailsLeavesTheOldFileAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(Replace(dir, "f", []byte("old"), Replacing{}))
	full := errors.New("the disk is full")
	for _, failing := range []string{"created", "half written", "written", "synced"} {
		err := Replace(dir, "f", []byte("new"), Replacing{Step: func(step string) error {
			if step == failing {
				return full
			}
			return nil
		}})
		if got, _ := os.ReadFile(path); !errors.Is(err, full) || string(got) != "old" {
			t.Errorf("%s: %v, and the file has %q", failing, err, got)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s: %d files, %v", failing, len(entries), err)
		}
	}
	when := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	must(Replace(dir, "f", []byte("new"), Replacing{Modified: when}))
	f, err := OpenReplaced(path)
	must(err)
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	must(err)
	if !info.ModTime().Equal(when) || info.Size() != 3 {
		t.Errorf("%d bytes of %v", info.Size(), info.ModTime())
	}
	must(Replace(dir, "f", []byte("newer"), Replacing{})) // while it is open
	must(Remove(path))
	if err := Remove(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a second removal: %v", err)
	}
}
