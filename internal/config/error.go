package config

import (
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Error is all that is wrong with a configuration file. It wraps
// fault.ErrMalformed.
type Error struct {
	File     string
	Problems []Problem // in the order of the file; never empty
}

// Problem is one thing that is wrong.
type Problem struct {
	Line    int    `json:"line"`   // 1-based; 0 where the problem has no place
	Column  int    `json:"column"` // 1-based, in characters; 0 where unknown
	Key     string `json:"key"`    // as "secrets.serve[0].domain"; empty for the file as a whole
	Message string `json:"message"`
}

// String is "3:9: audit.keep: must be …", without what is not known.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, "%d:", p.Column)
		}
		b.WriteByte(' ')
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Message
}

// Error has a line for each problem, as compilers print them.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		sep := ":"
		if p.Line == 0 {
			sep = ": "
		}
		lines[i] = e.File + sep + p.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap is fault.ErrMalformed.
func (e *Error) Unwrap() error { return fault.ErrMalformed }
