package eventlog

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestNothingInAParameterIsTakenForMoreThanText(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "-",
		"web-1":                "web-1",
		"größer als 日本":        "größer als 日本",
		"%1 %%2 %n 100%":       "％1 ％％2 ％n 100％",
		"a\r\nb\tc\x00d":       `a\r\nb\tc\x00d`,
		"x\u202ereversed":      `x\u202ereversed`,
		"zero\u200bwidth":      `zero\u200bwidth`,
		"\xff\xfe":             "\uFFFD\uFFFD",
		"C:\\ProgramData\\x":   `C:\ProgramData\x`,
		"What to do: format c": "What to do: format c",
	} {
		got := Entry{Params: []string{in}}.Strings(1)
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func TestAParameterIsBounded(t *testing.T) {
	for _, piece := range []string{"x", "é", "\x01", "%"} {
		got := Entry{Params: []string{strings.Repeat(piece, 1<<16)}}.Strings(1)[0]
		if len(got) > maxParam+len("…") || len(got) < maxParam-8 || !strings.HasSuffix(got, "…") {
			t.Errorf("%q: %d bytes", piece, len(got))
		}
	}
}

func FuzzAParameterIsOneBoundedLineOfText(f *testing.F) {
	for _, s := range []string{"", "web-1", "%1", "%%512", "a\r\nb", "\xff", "\u202e", strings.Repeat("日", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := safe(s)
		if len(got) > maxParam+len("…") || strings.ContainsAny(got, "%\r\n\x00") || !utf8.ValidString(got) {
			t.Errorf("%q became %q", s, got)
		}
	})
}
