package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// numbered writes records whose grants are numbers, each some 1 KiB long.
type numbered struct {
	t    *testing.T
	l    *Log
	next int
}

func (w *numbered) write(n int) {
	w.t.Helper()
	for range n {
		if err := w.l.Write(Record{Event: AdmitRefused, Grant: fmt.Sprint(w.next), Reason: strings.Repeat("x", maxField)}); err != nil {
			w.t.Fatal(err)
		}
		w.next++
	}
}

// fileful is more records than a file of MaxLine holds, and fewer than two do.
const fileful = MaxLine/maxField + 1

// expectAll checks that no record was lost or moved.
func (w *numbered) expectAll(when string) {
	w.t.Helper()
	for i, r := range collect(w.t, w.l.path) {
		if r.Grant != fmt.Sprint(i) {
			w.t.Fatalf("%s: record %d is %s", when, i, r.Grant)
		}
	}
	if n := len(collect(w.t, w.l.path)); n != w.next {
		w.t.Fatalf("%s: %d records of %d", when, n, w.next)
	}
}

func suffixes(t *testing.T, path string) []string {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i] = strings.TrimPrefix(files[i], path)
	}
	slices.Sort(files)
	return files
}

func TestACurrentFileThatCannotBeRenamedCostsNoOldOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	w := &numbered{t: t, l: open(t, path, MaxLine, 2)}
	w.write(2 * fileful)
	before := suffixes(t, path)
	tried := 0
	w.l.rename = func(from, to string) error {
		if from == path {
			tried++
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrPermission}
		}
		return os.Rename(from, to)
	}
	w.write(2 * fileful)
	if diff := cmp.Diff(before, suffixes(t, path)); diff != "" {
		t.Error(diff)
	}
	w.expectAll("while the file cannot be renamed")
	if tried == 0 || tried > 3*retryShare {
		t.Errorf("the rotation was tried %d times for %d records", tried, 2*fileful)
	}
	w.l.rename = os.Rename
	w.write(fileful)
	if st, err := os.Stat(path); err != nil || st.Size() > MaxLine {
		t.Errorf("no rotation once the file can be renamed: %v, %v", st.Size(), err)
	}
}

func TestAnOldFileThatCannotBeRenamedCostsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	w := &numbered{t: t, l: open(t, path, MaxLine, 4)}
	w.write(3 * fileful) // .1 and .2 are there, or .3 too
	w.l.rename = func(from, to string) error {
		if from == rotated(path, 1) {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrPermission}
		}
		return os.Rename(from, to)
	}
	w.write(4 * fileful)
	w.expectAll("while an old file cannot be renamed")
	if !slices.Contains(suffixes(t, path), ".0") {
		t.Errorf("files: %v", suffixes(t, path))
	}
}

func TestARotationThatWasCutOffIsFinishedAtTheNextStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	w := &numbered{t: t, l: open(t, path, MaxLine, 3)}
	w.write(fileful)
	if err := errors.Join(w.l.Close(), os.Rename(path, rotated(path, 0))); err != nil {
		t.Fatal(err)
	}
	w.expectAll("after the kill")
	w.l = open(t, path, MaxLine, 3)
	w.write(1)
	w.expectAll("after the start")
	if diff := cmp.Diff([]string{"", ".1", ".2"}, suffixes(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestATrailThatCouldNotBeOpenedAgainGoesOnOnceItCan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	w := &numbered{t: t, l: open(t, path, MaxLine, 3)}
	w.l.rename = func(from, to string) error {
		err := os.Rename(from, to)
		if from == path {
			err = errors.Join(err, os.Mkdir(path, 0o700)) // in the new file's place
		}
		return err
	}
	var failed error
	for range fileful {
		if failed = w.l.Write(Record{Event: AdmitRefused, Reason: strings.Repeat("x", maxField)}); failed != nil {
			break
		}
		w.next++
	}
	if failed == nil {
		t.Fatal("no rotation")
	}
	if err := w.l.Write(Record{Event: AdmitRefused}); err == nil {
		t.Error("a record was written to a folder")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := w.l.Write(Record{Event: AdmitRefused}); err != nil {
		t.Error(err)
	}
	if got := collect(t, path); len(got) != w.next+1 {
		t.Errorf("%d records, want %d", len(got), w.next+1)
	}
}

func TestFilesOfOtherNamesAreNotOurs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for _, suffix := range []string{".20261123", ".01", ".-1", ".1.gz", ".new"} {
		if err := os.WriteFile(path+suffix, []byte("other\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &numbered{t: t, l: open(t, path, MaxLine, 3)}
	w.write(2 * fileful)
	w.expectAll("among other files")
}
