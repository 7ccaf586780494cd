package credspec

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// syntax explains why the document is not JSON.
func (r *reader) syntax(err error) {
	var e *jsontree.SyntaxError
	if !errors.As(err, &e) {
		e = &jsontree.SyntaxError{Message: err.Error()}
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(r.data, []byte("\ufeff")))
	switch {
	case len(text) == 0:
		r.refuse("", 0, "the document is empty", "see that the file was written, and that it is the right one")
	case looksLikeUTF16(r.data):
		r.refuse("", 0, "the document looks like UTF-16 and should be UTF-8", "save the file as UTF-8; Windows PowerShell's > and Out-File write UTF-16 unless told otherwise")
	case text[0] == '<':
		r.refuse("", e.Offset, "the document looks like HTML or XML", "see whether a web page, such as one to sign in, was saved in its place")
	case looksLikeYAML(text):
		r.refuse("", e.Offset, "the document looks like YAML and should be JSON", "write it as JSON; or, for Kubernetes, as a manifest with apiVersion and kind")
	default:
		r.refuse("", e.Offset, e.Message, remedy(r.data, e))
	}
}

func looksLikeUTF16(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) || len(data) > 1 && (data[0] == 0 || data[1] == 0)
}

// looksLikeYAML reports whether a text that is not JSON begins with a key of a
// credential spec or of a manifest, and a colon.
func looksLikeYAML(text []byte) bool {
	for line := range bytes.Lines(text[:min(len(text), 1<<12)]) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || string(line) == "---" {
			continue
		}
		key, _, found := bytes.Cut(line, []byte(":"))
		name := string(bytes.TrimSpace(key))
		return found && (homes[name] != "" || name == "apiVersion" || name == "kind" || name == "metadata" || name == nameCredspec)
	}
	return false
}

// remedy is what to do about a syntax error.
func remedy(data []byte, e *jsontree.SyntaxError) string {
	const rule = "a credential spec is a JSON document (RFC 8259), and a small one"
	switch {
	case strings.HasSuffix(e.Message, "is not UTF-8"):
		return "save the file as UTF-8; it looks like Windows-1252 or another encoding of single bytes"
	case strings.HasPrefix(e.Message, "control character"):
		return `in a JSON string a line end is written \n, a tab \t; if the string should have ended before, close it`
	case strings.HasPrefix(e.Message, "a string does not end"):
		return "close it with a quotation mark; or see that all of the file is there"
	case e.Offset >= len(data):
		return "the end is missing: see that all of the file is there, and every brace and bracket closed"
	}
	before := bytes.TrimRight(data[:e.Offset], " \t\r\n")
	switch c, _ := utf8.DecodeRune(data[e.Offset:]); {
	case c == '/' || c == '#':
		return "JSON has no comments; remove it"
	case c == '\'':
		return "JSON strings stand in double quotes"
	case c == '“' || c == '”' || c == '„' || c == '‘' || c == '’':
		return "an editor has put typographic quotation marks there; write plain ones"
	case c == '\\':
		return `in a JSON string a backslash is written \\`
	case (c == '}' || c == ']') && bytes.HasSuffix(before, []byte(",")):
		return "remove the comma before it"
	case strings.Contains(e.Message, "a comma or"):
		return "put a comma between it and what is before it"
	case strings.Contains(e.Message, "after the end of the document"):
		return "one document is one file; remove what follows it"
	case strings.Contains(e.Message, "a member's name should start"), strings.Contains(e.Message, "a value should start"):
		return "names and texts stand in double quotes"
	}
	return rule
}
