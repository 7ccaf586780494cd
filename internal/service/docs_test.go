package service

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestEveryExitCodeIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/windows.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range ExitCodes {
		row := fmt.Sprintf("| %d | %s | %s |\n", e.Code, e.Meaning, e.Remedy)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/windows.md lacks the row\n%s", row)
		}
	}
}
