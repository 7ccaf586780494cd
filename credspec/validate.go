package credspec

import (
	"fmt"
	"slices"

	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// maxPortable is the most that Kubernetes admits in a pod's
// windowsOptions.gmsaCredentialSpec, in bytes.
const maxPortable = 64 << 10

// Severity is how bad a problem is.
type Severity string

const (
	// SeverityError says that the document cannot work, or that nobody can
	// say what it means.
	SeverityError Severity = "error"
	// SeverityWarning says that it may work, and that somebody should look.
	SeverityWarning Severity = "warning"
)

// Problem is one thing that is wrong with a document. Its texts never repeat a
// PluginInput.
type Problem struct {
	Path     string   `json:"path"` // JSON pointer to what is wrong or missing; empty for the whole document
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"` // what to do about it; the problems of Validate all have one
	Line     int      `json:"line"`           // from 1; of something missing, where it should be in
	Column   int      `json:"column"`         // from 1, in characters
}

// Validate returns everything that is wrong with a document, in the order in
// which it stands there. Where a document stops being JSON, the search ends.
// Problems over 256 are counted, not listed.
func Validate(data []byte, options ...Option) []Problem {
	r := walk(data, options...)
	slices.SortStableFunc(r.findings, func(a, b finding) int { return a.offset - b.offset })
	problems := make([]Problem, 0, len(r.findings)+1)
	for _, f := range r.findings {
		f.Line, f.Column = jsontree.Place(data, f.offset)
		problems = append(problems, f.Problem)
	}
	if r.drops > 0 {
		line, column := jsontree.Place(data, len(data))
		problems = append(problems, Problem{
			Severity: r.dropped.Severity,
			Message:  fmt.Sprintf("there are %d more problems", r.drops),
			Hint:     "mend those above first",
			Line:     line, Column: column,
		})
	}
	return problems
}

// Valid reports whether none of the problems is an error.
func Valid(problems []Problem) bool {
	return !slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == SeverityError })
}
