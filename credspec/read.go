package credspec

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// limits bound what reading a document may cost. A real one has less than
// fifty values and is five deep; the bounds leave room for extensions.
var limits = jsontree.Limits{Size: MaxSize, Depth: 32, Values: 1 << 14, Name: 1 << 10}

// maxFindings bounds the list of problems: nobody reads more, and each may
// name a long path.
const maxFindings = 256

// finding is a problem and where in the text it was found.
type finding struct {
	Problem
	offset int
	// blocks says that the document cannot be acted upon at all, because it
	// has no one meaning.
	blocks bool
}

// reader walks a document once. It fills the typed view and collects every
// problem on its way, so that Parse and Validate cannot disagree.
type reader struct {
	data     []byte
	root     *jsontree.Value
	spec     Spec
	findings []finding
	dropped  finding // stands for those over maxFindings
	drops    int
	block    *finding // the first in the document that blocks

	plugins  map[string]Plugin // by canonical CLSID
	manifest bool              // the document stands in a Kubernetes manifest

	at        places
	listed    []listed
	scattered bool // an entry of the list is no account with a scope
}

// places are the offsets of what is judged together with something else; -1
// where it is missing.
type places struct{ account, tree, accounts int }

// read is the walk, for those who need the document's meaning. Its error is a
// *ParseError.
func read(data []byte) (*reader, error) {
	r := walk(data)
	if b := r.block; b != nil {
		line, column := jsontree.Place(data, b.offset)
		return nil, &ParseError{Path: b.Path, Line: line, Column: column, Message: b.Message}
	}
	return r, nil
}

func walk(data []byte, options ...Option) *reader {
	r := &reader{data: data, at: places{-1, -1, -1}}
	for _, o := range options {
		o(r)
	}
	if len(data) > maxPortable {
		r.warn("", 0, fmt.Sprintf("the document has %d bytes; Kubernetes refuses more than %d", len(data), maxPortable), "shorten it, if it is for Kubernetes; a credential spec has less than 2 KiB")
	}
	if jsontree.HasBOM(data) {
		r.warn("", 0, "the document starts with a byte order mark, which runtimes hand on to Windows as it is; whether Windows reads such a document is not documented",
			"save the file as UTF-8 without byte order mark")
	}
	root, err := jsontree.Parse(data, limits)
	if err != nil {
		r.syntax(err)
		return r
	}
	r.root = root
	r.names(root, "")
	r.document(root)
	r.agreement()
	return r
}

func (r *reader) add(f finding) {
	if f.blocks && (r.block == nil || f.offset < r.block.offset) {
		r.block = &f
	}
	if len(r.findings) < maxFindings {
		r.findings = append(r.findings, f)
		return
	}
	r.drops++
	if r.drops == 1 || f.Severity == SeverityError {
		r.dropped.Severity = f.Severity
	}
}

func (r *reader) warn(path string, at int, message, hint string) {
	r.add(finding{Problem{Path: path, Severity: SeverityWarning, Message: message, Hint: hint}, at, false})
}

func (r *reader) fail(path string, at int, message, hint string) {
	r.add(finding{Problem{Path: path, Severity: SeverityError, Message: message, Hint: hint}, at, false})
}

func (r *reader) refuse(path string, at int, message, hint string) {
	r.add(finding{Problem{Path: path, Severity: SeverityError, Message: message, Hint: hint}, at, true})
}

// names looks at every member's name, known or not, for what readers are known
// to disagree about.
func (r *reader) names(v *jsontree.Value, path string) {
	seen := make(map[string]int, len(v.Members))
	for i := range v.Members {
		m := &v.Members[i]
		at := jsontree.Pointer(path, m.Name)
		if first, ok := seen[m.Name]; ok {
			r.repeated(at, first, m.Start)
		} else {
			seen[m.Name] = m.Start
		}
		if strings.ContainsFunc(m.Name, isControl) {
			r.refuse(at, m.Start, "has a control character in its name; readers disagree on where such a name ends", "remove it")
		}
		r.names(&m.Value, at)
	}
	for i := range v.Elements {
		r.names(&v.Elements[i], jsontree.PointerIndex(path, i))
	}
}

// repeated reports a second member of the same name.
func (r *reader) repeated(path string, first, at int) {
	var where string
	if len(r.findings) < maxFindings { // finding the line takes a walk over the document
		line, column := jsontree.Place(r.data, first)
		where = fmt.Sprintf(" (first in line %d, column %d)", line, column)
	}
	r.refuse(path, at, "stands there twice"+where+"; readers disagree on which one counts", "remove one of them")
}

func isControl(c rune) bool { return c < 0x20 || c == 0x7f }

// field is what a document may have at one place.
type field struct {
	name   string
	remedy string // where it is missing; empty if it need not be there
	read   func(path string, v *jsontree.Value)
}

// object reads an object by its fields.
func (r *reader) object(path string, v *jsontree.Value, fields ...field) {
	if !r.is(jsontree.Object, path, v, "write the members in braces: {…}") {
		return
	}
	have := make([]bool, len(fields))
	var unknown []*jsontree.Member
members:
	for i := range v.Members {
		m := &v.Members[i]
		at := jsontree.Pointer(path, m.Name)
		for k, f := range fields {
			switch {
			case m.Name == f.name:
				if !have[k] { // a second one has been refused
					have[k] = true
					f.read(at, &m.Value)
				}
				continue members
			case strings.EqualFold(m.Name, f.name):
				have[k] = true
				r.refuse(at, m.Start, fmt.Sprintf("differs from %s only in case; readers disagree on whether that is the same", f.name), "write "+f.name)
				continue members
			}
		}
		r.spec.Unknown = append(r.spec.Unknown, Field{Path: at, JSON: bytes.Clone(r.data[m.Value.Start:m.Value.End])})
		unknown = append(unknown, m)
	}
	for _, m := range unknown {
		r.unknown(jsontree.Pointer(path, m.Name), m, fields, have)
	}
	for k, f := range fields {
		if f.remedy != "" && !have[k] {
			r.fail(jsontree.Pointer(path, f.name), v.Start, "is missing", f.remedy)
		}
	}
}

// unknown says what a member that is not known may have been meant for. If that
// is a field that is missing otherwise, it has it.
func (r *reader) unknown(path string, m *jsontree.Member, fields []field, have []bool) {
	if strings.ContainsFunc(m.Name, isControl) {
		return // has been refused
	}
	message, hint := "is not known; it is kept as it is", "remove it, unless you know who reads it"
	if r.manifest {
		message, hint = "is not known; the API server drops it, and kubectl refuses it", "remove it"
	}
	for k, f := range fields {
		if have[k] {
			continue
		}
		if _, near := nearest(m.Name, f.name); near {
			have[k] = true
			if f.remedy != "" {
				r.fail(path, m.Start, fmt.Sprintf("is not known, and %s is missing", f.name), "write "+f.name)
				return
			}
			hint = "if it is meant to be " + f.name + ", write that"
		}
	}
	if home, ok := homes[m.Name]; ok {
		hint = "move it: it belongs in " + home
	}
	r.warn(path, m.Start, message, hint)
}

// is reports a value of another kind.
func (r *reader) is(kind jsontree.Kind, path string, v *jsontree.Value, hint string) bool {
	if v.Kind != kind {
		message := fmt.Sprintf("is %v and should be %v", v.Kind, kind)
		if path == "" {
			message = "the document " + message
		}
		r.refuse(path, v.Start, message, hint)
	}
	return v.Kind == kind
}

// text returns the reader of a required string that stores it, and where it
// stands if somebody wants to know, and checks its form.
func (r *reader) text(name, remedy string, to *string, at *int, check func(string) verdict) field {
	return field{name, remedy, func(path string, v *jsontree.Value) {
		hint := remedy
		if v.Kind == jsontree.Number || v.Kind == jsontree.Bool {
			hint = "write it in quotation marks"
		}
		if !r.is(jsontree.String, path, v, hint) {
			return
		}
		*to = v.Text
		if at != nil {
			*at = v.Start
		}
		r.judge(path, v.Start, filled(check)(v.Text))
	}}
}

// judge reports what a form's check found.
func (r *reader) judge(path string, at int, found verdict) {
	switch found.severity {
	case SeverityError:
		r.fail(path, at, found.message, found.hint)
	case SeverityWarning:
		r.warn(path, at, found.message, found.hint)
	}
}
