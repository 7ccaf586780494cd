package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/manifest"
)

// verdict is the answer of "credspec validate" for one document.
type verdict struct {
	Ref      string             `json:"ref"`               // the file as typed, or the reference
	Object   string             `json:"object,omitempty"`  // in a manifest: the object's kind and name
	Skipped  string             `json:"skipped,omitempty"` // why nobody has looked at it
	Valid    bool               `json:"valid"`
	Problems []credspec.Problem `json:"problems"`

	shown excerpt
	read  bool
}

func (s *session) credspecValidateCommand() *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "list everything that is wrong with credential specs",
		ArgsUsage: "FILE|FOLDER|REF…",
		Description: "A file is a credential spec, or a Kubernetes manifest with GMSACredentialSpec objects (YAML or JSON).\n" +
			"A folder stands for its *.json, *.yaml and *.yml. \"-\" is standard input. A document with warnings only\n" +
			"is valid. Exit code 1 if a document is not valid or cannot be read.",
		Flags: append([]cli.Flag{outputFlag()}, againstFlags()...),
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, -1, "FILE, FOLDER or REF"); err != nil {
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
			against, err := s.directoryCheck(c, cfg)
			if err != nil {
				return err
			}
			defer against.close()
			judge := &judge{options: []credspec.Option{credspec.WithPlugins(hostPlugins(cfg)...)}, against: against.checker(c.Context)}
			for _, arg := range c.Args().Slice() {
				names, inFolder, err := specFiles(arg)
				if err != nil {
					judge.unread(arg, err)
				}
				for _, name := range names {
					judge.document(s.namedDocument(c.Context, source, name, inFolder))
				}
			}
			err = s.answer(c, judge.verdicts, func(w io.Writer) error {
				for _, v := range judge.verdicts {
					if !v.read {
						continue // standard error has it
					}
					if err := s.printVerdict(w, v); err != nil {
						return err
					}
				}
				return nil
			})
			return joinVerdicts(err, judge.failed)
		},
	}
}

// named is a document, or why it could not be had.
type named struct {
	document
	isFile   bool // rather than a reference, at which only documents are
	inFolder bool
	err      error
}

func (s *session) namedDocument(ctx context.Context, source credspec.Source, name string, inFolder bool) named {
	if inFolder {
		doc, err := s.fileDocument(name)
		return named{doc, true, true, err}
	}
	doc, err := s.document(ctx, source, name)
	doc.name = cmp.Or(doc.name, safeName(name))
	return named{doc, !looksLikeRef(name), false, err}
}

// judge collects verdicts.
type judge struct {
	options  []credspec.Option
	against  directoryChecker
	verdicts []verdict
	failed   []error
}

func (j *judge) unread(name string, err error) {
	j.failed = append(j.failed, err)
	j.verdicts = append(j.verdicts, verdict{Ref: name, Problems: []credspec.Problem{{Severity: credspec.SeverityError, Message: err.Error()}}})
}

func (j *judge) document(doc named) {
	switch {
	case doc.err != nil:
		j.unread(doc.name, doc.err)
	case doc.isFile && manifest.Is(doc.Data):
		j.manifest(doc)
	case doc.inFolder && isYAML(doc.name):
		j.add(verdict{Ref: doc.name, Skipped: "no Kubernetes manifest"})
	default:
		v := verdict{Ref: doc.name, Problems: credspec.Validate(doc.Data, j.options...), shown: excerptOf(doc.Data)}
		j.failed = append(j.failed, j.against(&v, doc.document, nil)...)
		j.add(v)
	}
}

func (j *judge) manifest(doc named) {
	shown, found := excerptOfManifest(doc.Data), false
	for _, o := range manifest.Read(doc.Data, j.options...) {
		v := verdict{Ref: doc.name, Object: objectName(o), Problems: o.Problems, shown: shown}
		if o.Skipped {
			v.Skipped = "no " + manifest.Kind
		}
		found = found || !o.Skipped
		j.failed = append(j.failed, j.against(&v, document{Document: credspec.Document{Data: o.Document}, name: doc.name}, o.Locate)...)
		j.add(v)
	}
	if !found && !doc.inFolder {
		j.add(verdict{Ref: doc.name, Problems: []credspec.Problem{{
			Severity: credspec.SeverityError, Line: 1, Column: 1,
			Message: "the file has no " + manifest.Kind, Hint: "see that it is the right file",
		}}, shown: shown})
	}
}

func objectName(o manifest.Object) string {
	return strings.TrimSpace(o.Kind + " " + o.Name)
}

func (j *judge) add(v verdict) {
	v.read = true
	v.Problems = append([]credspec.Problem{}, v.Problems...) // "[]" rather than "null"
	if v.Valid = credspec.Valid(v.Problems); !v.Valid {
		j.failed = append(j.failed, errNotValid)
	}
	j.verdicts = append(j.verdicts, v)
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
		if line, caret := v.shown.at(p.Line, p.Column); line != "" && !shown {
			fmt.Fprintf(w, "    %s\n    %s%s^%s\n", line, caret, colour, s.colour.off)
		}
		if p.Hint != "" {
			fmt.Fprintf(w, "    %s%s%s\n", s.colour.dim, printable(p.Hint), s.colour.off)
		}
	}
	name := v.Ref
	if v.Object != "" {
		name += ": " + v.Object
	}
	summary := fmt.Sprintf("%snot valid%s", s.colour.bad, s.colour.off)
	switch {
	case v.Skipped != "":
		summary = fmt.Sprintf("%sskipped: %s%s", s.colour.dim, v.Skipped, s.colour.off)
	case v.Valid:
		summary = fmt.Sprintf("%svalid%s", s.colour.good, s.colour.off)
	}
	if errs+warnings > 0 {
		summary += fmt.Sprintf(" (%s, %s)", counted(errs, "error"), counted(warnings, "warning"))
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", printable(name), summary)
	return err
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
