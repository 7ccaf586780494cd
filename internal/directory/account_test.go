package directory

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSimilarNamesAreThoseThatAPersonCouldHaveMeant(t *testing.T) {
	names := []string{"webapp01", "webapp02", "WebApp10", "sql-prod", "logs", "büro"}
	for name, want := range map[string][]string{
		"webap01":    {"webapp01", "WebApp10", "webapp02"},
		"WEBAPP01":   {"webapp01", "webapp02", "WebApp10"},
		"sql":        {"sql-prod"},
		"buro":       {"büro"},
		"accounting": nil,
	} {
		if diff := cmp.Diff(want, similarTo(name, names)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
