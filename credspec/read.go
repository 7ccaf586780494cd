package credspec

import (
	"bytes"
	"errors"
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

	defaultAt  int // of MachineAccountName
	accountsAt int // of GroupManagedServiceAccounts
}

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

func walk(data []byte) *reader {
	r := &reader{data: data, defaultAt: -1, accountsAt: -1}
	if len(data) > maxPortable {
		r.warn("", 0, fmt.Sprintf("the document has %d bytes; Kubernetes refuses more than %d", len(data), maxPortable), "")
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
	r.accounts()
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

// syntax explains why the document is not JSON.
func (r *reader) syntax(err error) {
	var e *jsontree.SyntaxError
	if !errors.As(err, &e) {
		e = &jsontree.SyntaxError{Message: err.Error()}
	}
	switch {
	case bytes.HasPrefix(r.data, []byte("\xff\xfe")), bytes.HasPrefix(r.data, []byte("\xfe\xff")), len(r.data) > 1 && (r.data[0] == 0 || r.data[1] == 0):
		r.refuse("", 0, "the document looks like UTF-16 and should be UTF-8", "save the file as UTF-8; Windows PowerShell's > and Out-File write UTF-16 unless told otherwise")
		return
	}
	var hint string
	if e.Offset < len(r.data) {
		switch before := bytes.TrimRight(r.data[:e.Offset], " \t\r\n"); r.data[e.Offset] {
		case '/', '#':
			hint = "JSON has no comments"
		case '\'':
			hint = "JSON strings stand in double quotes"
		case '\\':
			hint = `in a JSON string a backslash is written \\`
		case '}', ']':
			if bytes.HasSuffix(before, []byte(",")) {
				hint = "remove the comma before it"
			}
		}
	}
	r.refuse("", e.Offset, e.Message, hint)
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
			r.refuse(at, m.Start, "has a control character in its name; readers disagree on where such a name ends", "")
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
	name     string
	required bool
	read     func(path string, v *jsontree.Value)
}

// object reads an object by its fields.
func (r *reader) object(path string, v *jsontree.Value, fields ...field) {
	if !r.is(jsontree.Object, path, v, "") {
		return
	}
	have := make([]bool, len(fields))
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
		r.warn(at, m.Start, "is not known; it is kept as it is", "")
		r.spec.Unknown = append(r.spec.Unknown, Field{Path: at, JSON: bytes.Clone(r.data[m.Value.Start:m.Value.End])})
	}
	for k, f := range fields {
		if f.required && !have[k] {
			r.fail(jsontree.Pointer(path, f.name), v.Start, "is missing", "")
		}
	}
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

// text returns a field's reader that stores a string and checks its form.
func (r *reader) text(name string, to *string, check func(string) verdict) field {
	return field{name, true, func(path string, v *jsontree.Value) {
		if !r.is(jsontree.String, path, v, "") {
			return
		}
		*to = v.Text
		r.judge(path, v.Start, check(v.Text))
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
