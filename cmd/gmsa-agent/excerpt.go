package main

import (
	"regexp"
	"strings"
)

// excerpt shows places in a credential spec, but never a PluginInput, which for
// some plugins is as good as a password.
type excerpt struct{ lines []string }

var pluginInput = regexp.MustCompile(`(?is)("PluginInput"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^",}\]\s][^,}\]\r\n]*)`)

func excerptOf(document []byte) excerpt {
	text := strings.TrimPrefix(strings.ToValidUTF8(string(document), "\uFFFD"), "\uFEFF")
	text = pluginInput.ReplaceAllStringFunc(text, func(member string) string {
		parts := pluginInput.FindStringSubmatch(member)
		return parts[1] + masked(parts[2])
	})
	return excerpt{strings.Split(text, "\n")}
}

// masked keeps every place where it was.
func masked(value string) string {
	inner, isString := strings.CutPrefix(value, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	inner = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return r
		}
		return '*'
	}, inner)
	if isString {
		inner = `"` + inner
	}
	if closed {
		inner += `"`
	}
	return inner
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
	runes := []rune(strings.TrimRight(e.lines[line-1], "\r"))
	at := column - 1
	if at > len(runes) || strings.TrimSpace(string(runes)) == "" {
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
