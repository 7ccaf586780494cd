package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheLogDoesNotGrowForEver(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	line := strings.Repeat("x", 99) + "\n"
	for range 2 { // and goes on where it was
		l, err := OpenLog(dir, LogName)
		if err != nil {
			t.Fatal(err)
		}
		l.most = 1000
		for range 37 {
			if n, err := l.Write([]byte(line)); err != nil || n != len(line) {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{LogName: 400, LogName + ".1": 1000} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(data) != want || strings.Count(string(data), line) != want/100 {
			t.Errorf("%s has %d bytes, %v", name, len(data), err)
		}
	}
}

func TestOneLineThatIsTooLongIsWrittenAllTheSame(t *testing.T) {
	l, err := OpenLog(filepath.Join(t.TempDir(), "state"), LogName)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test's end
	l.most = 10
	for range 2 {
		if _, err := l.Write([]byte("longer than ten bytes\n")); err != nil {
			t.Fatal(err)
		}
	}
}
