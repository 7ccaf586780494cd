package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
)

func TestNoTwoEventsHaveOneID(t *testing.T) {
	seen := map[eventlog.ID]string{}
	for _, e := range Events() {
		if other, twice := seen[e.ID]; twice {
			t.Errorf("event %d is %s and %s", e.ID, other, e.Name)
		}
		seen[e.ID] = e.Name
	}
}

// row is an event as docs/events.md has it: parameters stand in their words.
func row(e eventlog.Event) string {
	about, rest, _ := strings.Cut(e.Text, "\r\n\r\n")
	if e.ID > 5000 && e.ID < 5200 {
		about, _, _ = strings.Cut(rest, "\r\n\r\n") // the first line is the same for all
	}
	for i, p := range e.Params {
		about = regexp.MustCompile(fmt.Sprintf(`%%%d\b`, i+1)).ReplaceAllLiteralString(about, "*"+p+"*")
	}
	return fmt.Sprintf("| %d | %s | `%s` | %s | %s | %s |", e.ID, e.Severity, e.Name, about, strings.Join(e.Params, "; "), e.Remedy)
}

var tableRow = regexp.MustCompile("(?m)^\\| \\d{4} \\| (Error|Warning|Information) \\| `.*$")

func TestTheDocumentationHasExactlyTheTable(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "events.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, line := range tableRow.FindAllString(string(page), -1) {
		documented[line] = true
	}
	for _, e := range Events() {
		want := row(e)
		if !documented[want] {
			t.Errorf("docs/events.md has no row\n%s", want)
		}
		delete(documented, want)
	}
	for line := range documented {
		t.Errorf("docs/events.md has a row that is in no table\n%s", line)
	}
}
