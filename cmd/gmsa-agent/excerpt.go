package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// excerpt shows places in a credential spec, but never a PluginInput, which for
// some plugins is as good as a password.
type excerpt struct {
	lines []string
	last  *excerptLine // what at has looked at; nil where there is nothing to show
}

// excerptLine is a line in characters. A document may be one line, in which
// thousands of places are to be shown.
type excerptLine struct {
	number int
	runes  []rune
	blank  bool
}

func newExcerpt(lines []string) excerpt { return excerpt{lines, &excerptLine{}} }

// line is one of the lines, 1-based.
func (e excerpt) line(number int) *excerptLine {
	if e.last.number != number {
		text := strings.TrimRight(e.lines[number-1], "\r")
		*e.last = excerptLine{number, []rune(text), strings.TrimSpace(text) == ""}
	}
	return e.last
}

func excerptOf(document []byte) excerpt {
	if bytes.IndexByte(document, 0) >= 0 {
		return excerpt{} // UTF-16 or worse: nobody could read it
	}
	return newExcerpt(strings.Split(withoutInput(shownText(document)), "\n"))
}

// excerptOfManifest is excerptOf for what may be YAML.
func excerptOfManifest(file []byte) excerpt {
	text := shownText(file)
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		return excerptOf(file)
	}
	return newExcerpt(withoutYAMLInput(strings.Split(text, "\n")))
}

func shownText(document []byte) string {
	return strings.TrimPrefix(strings.ToValidUTF8(string(document), "\uFFFD"), "\uFEFF")
}

// yamlKey is the beginning of a line of YAML that starts with a key.
var yamlKey = regexp.MustCompile(`^([ -]*)["']?([A-Za-z]+)["']?[ \t]*:`)

// withoutYAMLInput masks what follows a PluginInput, to the end of its line and
// on to the next line with a known key that is not indented further: a text in
// between may go on over lines of any kind.
func withoutYAMLInput(lines []string) []string {
	inside, indent := false, 0
	for i, line := range lines {
		key := yamlKey.FindStringSubmatch(line)
		known := key != nil && slices.ContainsFunc(harmless, func(name string) bool { return strings.EqualFold(name, key[2]) })
		if inside && (!known || len(key[1]) > indent) {
			lines[i] = maskedIf(true, line)
			continue
		}
		inside = false
		if strings.Contains(line, `\`) { // what is escaped may be a name
			lines[i] = maskedIf(true, line)
			continue
		}
		if at := strings.Index(strings.ToLower(line), "plugininput"); at >= 0 {
			inside, indent = true, len(line)-len(strings.TrimLeft(line, " -"))
			at += len("plugininput")
			lines[i] = line[:at] + maskedIf(true, line[at:])
		}
	}
	return lines
}

// jsonString is a string, or the rest of a text that has no closing quote.
var jsonString = regexp.MustCompile(`(?s)"(?:[^"\\]|\\.)*(?:"|$)`)

// harmless are the members whose name ends what belongs to a PluginInput.
var harmless = []string{
	"CmsPlugins", "DomainJoinConfig", "Sid", "MachineAccountName", "Guid", "DnsTreeName", "DnsName", "NetBiosName",
	"ActiveDirectoryConfig", "GroupManagedServiceAccounts", "Name", "Scope", "HostAccountConfig", "PortableCcgVersion", "PluginGUID",
	"apiVersion", "kind", "metadata", "credspec", "items", "spec",
}

// withoutInput masks everything from a PluginInput to the next known member,
// and keeps every place where it was. The text need not be JSON: it is shown
// because something is wrong with it.
func withoutInput(text string) string {
	var b strings.Builder
	inside := false
	bare := func(part string) {
		at := strings.Index(strings.ToLower(part), "plugininput")
		if inside || at < 0 {
			b.WriteString(maskedIf(inside, part))
			return
		}
		inside = true
		at += len("plugininput")
		b.WriteString(part[:at] + maskedIf(true, part[at:]))
	}
	done := 0
	for _, span := range jsonString.FindAllStringIndex(text, -1) {
		bare(text[done:span[0]])
		token := text[span[0]:span[1]]
		done = span[1]
		name, isKey := memberName(token), strings.HasPrefix(strings.TrimSpace(text[done:]), ":")
		switch {
		case strings.EqualFold(name, "PluginInput"):
			inside = true
			b.WriteString(token)
		case isKey && slices.ContainsFunc(harmless, func(known string) bool { return strings.EqualFold(name, known) }):
			inside = false
			b.WriteString(token)
		default:
			b.WriteString(maskedIf(inside, token))
		}
	}
	bare(text[done:])
	return b.String()
}

func memberName(token string) string {
	var name string
	if json.Unmarshal([]byte(token), &name) != nil {
		return strings.Trim(token, `"`)
	}
	return name
}

// maskedIf leaves line ends, and of what is no string the structure of JSON.
func maskedIf(inside bool, text string) string {
	if !inside {
		return text
	}
	kept := " \t\r\n{}[]:,"
	if strings.HasPrefix(text, `"`) {
		kept = "\r\n\""
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(kept, r) {
			return r
		}
		return '*'
	}, text)
}

// excerptReach is how much of a long line stands on either side of the place:
// with the rest of the line it fits a terminal of 80 columns.
const excerptReach = 34

// at is a line of the document and the blanks before a caret that points at the
// column, both 1-based and in characters; empty if there is no such place.
func (e excerpt) at(line, column int) (text, blanks string) {
	if line < 1 || line > len(e.lines) || column < 1 {
		return "", ""
	}
	here := e.line(line)
	runes, at := here.runes, column-1
	if at > len(runes) || here.blank {
		return "", ""
	}
	from, to := 0, len(runes)
	before, after := "", ""
	if at-excerptReach > 0 {
		from, before = at-excerptReach, "…"
	}
	if at+excerptReach < to {
		to, after = at+excerptReach, "…"
	}
	// One cell for each character, whatever it is: the caret counts them.
	shown := func(runes []rune) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r == '\t':
				return ' '
			case notPrintable(r):
				return '\uFFFD'
			}
			return r
		}, string(runes))
	}
	text = before + shown(runes[from:to]) + after
	trimmed := strings.TrimLeft(text, " ")
	return trimmed, strings.Repeat(" ", max(len([]rune(before))+at-from-(len(text)-len(trimmed)), 0))
}
