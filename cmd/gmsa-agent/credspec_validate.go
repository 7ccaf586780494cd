package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// verdict is the answer of "credspec validate" for one document.
type verdict struct {
	Ref      string             `json:"ref"` // the file as typed, or the reference
	Valid    bool               `json:"valid"`
	Problems []credspec.Problem `json:"problems"`

	data []byte
}

func (s *session) credspecValidateCommand() *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "list everything that is wrong with credential specs",
		ArgsUsage: "FILE|REF…",
		Description: "A document with warnings only is valid. \"-\" is standard input. Exit code 1 if a document\n" +
			"is not valid or cannot be read.",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, -1, "FILE or REF"); err != nil {
				return err
			}
			cfg, err := s.config(c)
			if err != nil {
				return err
			}
			source, err := openSources(cfg)
			if err != nil {
				return err
			}
			var verdicts []verdict
			var failed []error
			for _, arg := range c.Args().Slice() {
				doc, err := s.document(c.Context, source, arg)
				if err != nil {
					failed = append(failed, err)
					verdicts = append(verdicts, unread(cmp.Or(doc.name, safeName(arg)), err))
					continue
				}
				v := verdict{Ref: doc.name, Problems: credspec.Validate(doc.Data), data: doc.Data}
				v.Problems = append([]credspec.Problem{}, v.Problems...) // "[]" rather than "null"
				if v.Valid = credspec.Valid(v.Problems); !v.Valid {
					failed = append(failed, errNotValid)
				}
				verdicts = append(verdicts, v)
			}
			err = s.answer(c, verdicts, func(w io.Writer) error {
				for _, v := range verdicts {
					if v.data == nil {
						continue // standard error has it
					}
					if err := s.printVerdict(w, v); err != nil {
						return err
					}
				}
				return nil
			})
			return joinVerdicts(err, failed)
		},
	}
}

// unread is the verdict on a document that could not be had.
func unread(name string, err error) verdict {
	return verdict{Ref: name, Problems: []credspec.Problem{{Severity: credspec.SeverityError, Message: err.Error()}}}
}

// safeName is arg as it may be repeated: a reference may be a whole document.
func safeName(arg string) string {
	if !looksLikeRef(arg) {
		return arg
	}
	ref, err := credspec.ParseRef(arg)
	if err != nil {
		return "(no reference)"
	}
	return ref.String()
}

// joinVerdicts drops "not valid", which the answer has said, beside errors that
// have to be said still.
func joinVerdicts(err error, failed []error) error {
	said := err
	for _, f := range failed {
		if !errors.Is(f, errNotValid) {
			said = errors.Join(said, f)
		}
	}
	if said == nil && len(failed) > 0 {
		return errNotValid
	}
	return said
}

// printVerdict writes problems as compilers do, each pointing into the document.
func (s *session) printVerdict(w io.Writer, v verdict) error {
	lines := excerptOf(v.data)
	errs, warnings := 0, 0
	for i, p := range v.Problems {
		colour := s.colour.bad
		if p.Severity == credspec.SeverityWarning {
			colour = s.colour.bold
			warnings++
		} else {
			errs++
		}
		where := ""
		if p.Line > 0 {
			where = fmt.Sprintf(":%d:%d", p.Line, p.Column)
		}
		path := ""
		if p.Path != "" {
			path = p.Path + ": "
		}
		fmt.Fprintf(w, "%s%s: %s%s%s: %s%s\n", printable(v.Ref), where, colour, p.Severity, s.colour.off, printable(path), printable(p.Message))
		shown := i > 0 && v.Problems[i-1].Line == p.Line && v.Problems[i-1].Column == p.Column
		if line, caret := lines.at(p.Line, p.Column); line != "" && !shown {
			fmt.Fprintf(w, "    %s\n    %s%s^%s\n", line, caret, colour, s.colour.off)
		}
		if p.Hint != "" {
			fmt.Fprintf(w, "    %s%s%s\n", s.colour.dim, printable(p.Hint), s.colour.off)
		}
	}
	summary := fmt.Sprintf("%snot valid%s", s.colour.bad, s.colour.off)
	if v.Valid {
		summary = fmt.Sprintf("%svalid%s", s.colour.good, s.colour.off)
	}
	if errs+warnings > 0 {
		summary += fmt.Sprintf(" (%s, %s)", counted(errs, "error"), counted(warnings, "warning"))
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", printable(v.Ref), summary)
	return err
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
