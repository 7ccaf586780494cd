package eventlog

import (
	"errors"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var insertion = regexp.MustCompile(`%(\d*)`)

func TestEveryRowIsWholeAndInItsPlace(t *testing.T) {
	if !slices.IsSortedFunc(Table, func(a, b Event) int { return int(a.ID) - int(b.ID) }) {
		t.Error("the table is not in the order of its IDs")
	}
	seen, named := map[ID]bool{}, map[string]bool{}
	for _, e := range Table {
		if seen[e.ID] || named[e.Name] {
			t.Errorf("event %d, %s, is there twice", e.ID, e.Name)
		}
		seen[e.ID], named[e.Name] = true, true
		if e.Category() == 0 {
			t.Errorf("event %d is in no category", e.ID)
		}
		if e.ID > 5000 && e.ID < 5200 {
			t.Errorf("event %d is in the plugin's own range", e.ID)
		}
		if e.Severity != Information && e.Remedy == "" {
			t.Errorf("event %d does not say what to do", e.ID)
		}
		if e.Severity.String() == "" || e.Name == "" || len(e.Params) > maxParams {
			t.Errorf("event %d: %+v", e.ID, e)
		}
		used := map[int]bool{}
		for _, found := range insertion.FindAllStringSubmatch(e.Message(), -1) {
			n, err := strconv.Atoi(found[1])
			if err != nil || n < 1 || n > len(e.Params) {
				t.Errorf("event %d: %q stands for no parameter", e.ID, found[0])
			}
			used[n] = true
		}
		if len(used) != len(e.Params) {
			t.Errorf("event %d has %d parameters and shows %d", e.ID, len(e.Params), len(used))
		}
		if strings.Contains(strings.ReplaceAll(e.Message(), "\r\n", ""), "\n") {
			t.Errorf("event %d: a line does not end in CR LF", e.ID)
		}
	}
}

func TestWithoutAnEventLogReportingIsUnsupported(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has one")
	}
	if err := Report(Entry{ID: AgentReady}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if _, err := Install(newExe); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
