package private

import (
	"errors"
	"io"
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
}

func TestAReplacementHasTheTimeThatItIsGiven(t *testing.T) {
	dir := t.TempDir()
	when := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := Replace(dir, "f", []byte("new"), Replacing{Modified: when}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "f"))
	if err != nil || !info.ModTime().Equal(when) || info.Size() != 3 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAFileIsReplacedWhileItIsReadAndRemovedOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := Replace(dir, "f", []byte("old"), Replacing{}); err != nil {
		t.Fatal(err)
	}
	f, err := OpenReplaced(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	if replacesOpenFiles() {
		if err := Replace(dir, "f", []byte("new"), Replacing{}); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "new" {
			t.Errorf("the file has %q, %v", got, err)
		}
	} else {
		t.Log("Wine 8 replaces no file that is open; on Windows this is tested")
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "old" {
		t.Errorf("who had it open reads %q, %v", got, err)
	}
	if err := Remove(path); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := Remove(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a second removal: %v", err)
	}
}
