package eventlog

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxParam bounds a parameter, in bytes. Event Viewer shows it whole, and an
// event of eight of them stays well below the 61,440 bytes that the log takes.
const maxParam = 1024

// maxParams is more parameters than any event has.
const maxParams = 16

// Strings are the entry's parameters as they may be written: n of them, each of
// them bounded, on one line, and without what Event Viewer would take for
// something else than text.
func (e Entry) Strings(n int) []string {
	out := make([]string, min(n, maxParams))
	for i := range out {
		out[i] = "-"
		if i < len(e.Params) && e.Params[i] != "" {
			out[i] = safe(e.Params[i])
		}
	}
	return out
}

// safe makes a text harmless. A percent sign becomes its full-width form:
// Event Viewer replaces "%1" within a parameter by the first parameter, and
// "%%" and a number by a text of any message file, so that whoever names a
// container could write what he likes into an event. What is not printable is
// shown as Go writes it.
//
// https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-reporteventw
func safe(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		var piece string
		switch {
		case r == utf8.RuneError && size == 1:
			piece = "\uFFFD"
		case r == '%':
			piece = "％"
		case strconv.IsPrint(r):
			piece = s[:size]
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			piece = quoted[1 : len(quoted)-1]
		}
		if b.Len()+len(piece) > maxParam {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
		s = s[size:]
	}
	return b.String()
}
