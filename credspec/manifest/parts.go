package manifest

import (
	"bytes"
	"errors"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// limits bound a file. A list of a thousand objects has some fifty thousand
// values.
var limits = jsontree.Limits{Size: credspec.MaxSize, Depth: 64, Values: 1 << 18, Name: 1 << 10}

// part is what stands between two lines of "---", where kubectl cuts files too:
// what is wrong in one part keeps nobody from reading the others.
type part struct {
	documents []*yaml.Node
	broken    *credspec.Problem
}

func parts(data []byte) []part {
	if bytes.HasPrefix(trimmed(data), []byte("{")) {
		if root, err := jsontree.Parse(data, limits); err == nil {
			return []part{{documents: []*yaml.Node{nodes(data, root)}}}
		}
	}
	var all []part
	start, line := 0, 1 // of the part
	empty := true       // so far
	at, number := 0, 1
	for text := range bytes.Lines(data) {
		if !empty && separator(text) {
			all = append(all, load(data[start:at], line))
			start, line, empty = at, number, true
		}
		content := bytes.TrimSpace(text)
		empty = empty && (len(content) == 0 || content[0] == '#' || content[0] == '%' || string(content) == "---")
		at += len(text)
		number++
	}
	return append(all, load(data[start:], line))
}

func separator(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r' || rest[0] == '\n')
}

// load reads a part that starts in a line of the file.
func load(text []byte, line int) part {
	var docs []yaml.Node
	if err := yaml.Load(text, &docs, yaml.WithAllDocuments()); err != nil {
		return part{broken: notYAML(text, line, err)}
	}
	var p part
	for i := range docs {
		move(&docs[i], line-1)
		p.documents = append(p.documents, &docs[i])
	}
	return p
}

// move moves a node, and what is in it, so many lines down.
func move(n *yaml.Node, lines int) {
	n.Line += lines
	for _, c := range n.Content {
		move(c, lines)
	}
}

func notYAML(text []byte, line int, err error) *credspec.Problem {
	at, message := place{line, 1}, err.Error()
	var e *yaml.LoadError
	if errors.As(err, &e) {
		message = e.Message
		if e.ContextMsg != "" {
			message += " " + e.ContextMsg
		}
		if e.Mark.Line > 0 {
			at = place{line + e.Mark.Line - 1, max(e.Mark.Column, 1)}
		} else if i := bytes.IndexFunc(text, notText); i >= 0 {
			at = place{line + bytes.Count(text[:i], []byte("\n")), 1}
		}
	}
	hint := "YAML is told by its indentation: compare the line with those around it"
	lines := strings.SplitAfter(string(text), "\n")
	here := ""
	if i := at.line - line; i < len(lines) {
		here = lines[i]
	}
	switch {
	case bytes.Contains(text, []byte("{{")):
		hint = render
	case strings.Contains(here[:len(here)-len(strings.TrimLeft(here, " \t"))], "\t"):
		hint = "YAML is indented with blanks, not with tabs"
	case strings.Contains(message, "mapping values are not allowed"):
		hint = "a text with a colon and a blank in it has to stand in quotation marks; or the line is indented too far"
	case strings.Contains(message, "unknown anchor"):
		hint = "write the value out"
	}
	p := problem("", at, errorf(hint), "not YAML: %s", message)
	return &p
}

func notText(r rune) bool {
	return r == '\uFFFD' || r < ' ' && r != '\n' && r != '\r' && r != '\t'
}
