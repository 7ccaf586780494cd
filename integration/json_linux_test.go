package integration_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sameJSON compares what the project writes with what the real program sent,
// as a reader of JSON does.
func sameJSON(t *testing.T, ours []byte, theirs string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(ours, &a); err != nil {
		t.Errorf("ours: %v", err)
	}
	if err := json.Unmarshal([]byte(theirs), &b); err != nil {
		t.Errorf("theirs: %v", err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("JSON (-theirs +ours):\n%s", diff)
	}
}
