package hcsdouble

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, lines ...string) (state string) {
	t.Helper()
	state = t.TempDir()
	err := os.WriteFile(filepath.Join(state, "record.jsonl"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestRecordsAreReadInTheirOrder(t *testing.T) {
	state := write(t,
		`{"time":"2026-01-02T03:04:05.678Z","pid":420,"call":"ccg","id":"a","ccg":{"event":2}}`,
		`{"time":"2026-01-02T03:04:05.600Z","pid":420,"call":"HcsCreateComputeSystem","id":"a","document":"{\"x\":\"\\\"\u2028\"}","hresult":"0xc0370103","ms":5}`,
		`{"time":"2026-01-02T03:04:06Z","pid":421,"call":"HcsCreateComputeSystem","id":"b","hresult":"0xc037010f","ms":0}`)
	records, err := Read(state)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 3 || string(records[0].CCG) != `{"event":2}` || records[1].Document != "{\"x\":\"\\\"\u2028\"}" || records[1].Millis != 5 {
		t.Errorf("%+v", records)
	}
	if found := Calls(records, "HcsCreateComputeSystem", "b"); len(found) != 1 || found[0].PID != 421 {
		t.Errorf("of b: %+v", found)
	}
	if found := Calls(records, "HcsCreateComputeSystem", ""); len(found) != 2 {
		t.Errorf("of all: %+v", found)
	}
}

func TestBeforeTheFirstCallThereIsNoRecord(t *testing.T) {
	if records, err := Read(t.TempDir()); err != nil || records != nil {
		t.Errorf("Read = %v, %v", records, err)
	}
}

func TestABrokenLineIsNamed(t *testing.T) {
	if _, err := Read(write(t, `{"call":"a"}`, `{"call":`)); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("Read = %v", err)
	}
}
