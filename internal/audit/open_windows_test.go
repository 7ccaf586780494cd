package audit

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAReaderDoesNotKeepTheTrailFromRotating(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	w := &numbered{t: t, l: open(t, path, MaxLine, 5)}
	w.write(1)
	f, err := openShared(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	w.write(fileful)
	if _, err := os.Stat(rotated(path, 1)); err != nil {
		t.Error(err)
	}
	w.expectAll("with a reader")
}

func TestAReaderThatForbidsRenamingCostsNoRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	w := &numbered{t: t, l: open(t, path, MaxLine, 5)}
	w.write(2 * fileful)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	w.write(2 * fileful)
	w.expectAll("with a reader that shares nothing")
}
