package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheCaretStandsBelowThePlace(t *testing.T) {
	document := "{\n\t\t\"Sid\": \"S-1\",\n" + `  "Description": "` + strings.Repeat("ä", 100) + `" X` + "\n}"
	for _, c := range []struct {
		name         string
		line, column int
		below        string // what begins above the caret
	}{
		{"indented with tabs", 2, 10, `"S-1"`},
		{"first column", 1, 1, "{"},
		{"far in a long line", 3, 121, "X"},
		{"near the start of a long line", 3, 3, `"Description"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			line, blanks := excerptOf([]byte(document)).at(c.line, c.column)
			above := []rune(line)
			if len(blanks) > len(above) || !strings.HasPrefix(string(above[len(blanks):]), c.below) {
				t.Errorf("the caret does not point at %s:\n%s\n%s^", c.below, line, blanks)
			}
			if len(above) > 80 {
				t.Errorf("the line has %d characters: %s", len(above), line)
			}
		})
	}
}

func TestPlacesOutsideTheDocumentHaveNoExcerpt(t *testing.T) {
	lines := excerptOf([]byte("{}\n\n"))
	for _, place := range [][2]int{{0, 0}, {1, 0}, {1, 9}, {2, 1}, {9, 1}, {-1, -1}} {
		if line, _ := lines.at(place[0], place[1]); line != "" {
			t.Errorf("%v: %q", place, line)
		}
	}
}

func TestNoExcerptShowsAPluginInput(t *testing.T) {
	const canary = "opensesame"
	for _, document := range []string{
		`{"PluginInput": "opensesame"}`,
		`{"plugininput":"opensesame"}`,
		`{"PluginInput": "a\"opensesame"}`,
		`{"PluginInput": "opensesame`,
		`{"PluginInput": opensesame}`,
		`{"PluginInput": ["opensesame"]}`,
		`{"PluginInput": {"a": ["opensesame"]}}`,
		`{"PluginInput" "opensesame"}`,
		"{\"PluginInput\":\n\n  \"opensesame\"}",
		"{'PluginInput': 'opensesame'}",
		`{"Plugin\u0049nput": "opensesame"}`,
	} {
		lines := excerptOf([]byte(document))
		for line := 1; line <= 3; line++ {
			for column := 1; column < 40; column++ {
				if text, _ := lines.at(line, column); strings.Contains(text, canary) {
					t.Fatalf("%s shows %s", document, text)
				}
			}
		}
	}
}

func TestNoExcerptOfAManifestShowsAPluginInput(t *testing.T) {
	const canary = "opensesame"
	for _, file := range []string{
		"PluginInput: opensesame\nSid: x",
		"a:\n  plugininput: opensesame",
		"- PluginInput: opensesame # opensesame",
		"PluginInput: |\n  opensesame\n  Name: opensesame\n\n  opensesame\nSid: x",
		"  PluginInput: >-\n    opensesame\n\n    kind: opensesame\n  Scope: x",
		"PluginInput: \"opensesame\n opensesame\\\n opensesame\"",
		"{a: 1, PluginInput: opensesame, b: [opensesame]}",
		"x: {PluginInput: {a: opensesame,\n  b: opensesame}}",
		"? PluginInput\n: opensesame",
		"\"Plugin\\u0049nput\": opensesame",
		"PluginInput:\n  credentialArn: opensesame\n  other: opensesame",
		"PluginInput:\n- opensesame\n- opensesame",
		"{\"kind\": \"x\", \"apiVersion\": \"y\", \"PluginInput\": \"opensesame\"}",
	} {
		lines := excerptOfManifest([]byte(file))
		for line := 1; line <= 8; line++ {
			for column := 1; column < 60; column++ {
				if text, _ := lines.at(line, column); strings.Contains(text, canary) {
					t.Fatalf("%s shows %s", file, text)
				}
			}
		}
	}
	lines := excerptOfManifest([]byte("- PluginInput: x\n  Name: shown\nSid: shown"))
	for line := 2; line <= 3; line++ {
		if text, _ := lines.at(line, 1); !strings.Contains(text, "shown") {
			t.Errorf("line %d is hidden: %q", line, text)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte(`{"PluginInput": "x"}`), 1, 3)
	f.Add([]byte("\xef\xbb\xbf{\t\r\n\xff}"), 2, 1)
	f.Fuzz(func(t *testing.T, document []byte, line, column int) {
		for _, lines := range []excerpt{excerptOf(document), excerptOfManifest(document)} {
			text, blanks := lines.at(line, column)
			if strings.ContainsAny(text, "\n\r\t\x1b") || strings.Trim(blanks, " ") != "" {
				t.Errorf("%q, %q", text, blanks)
			}
		}
	})
}

// A list of many objects may be one line, with problems in each of them.
func TestALongLineIsReadOnceForAllItsPlaces(t *testing.T) {
	shown := excerptOf(bytes.Repeat([]byte(`{"a":"é"},`), 100_000))
	shown.at(1, 1)
	before := &shown.line(1).runes[0]
	for column := 1; column < 100_000; column += 10 {
		if line, _ := shown.at(1, column); line == "" {
			t.Fatalf("nothing at column %d", column)
		}
	}
	if before != &shown.line(1).runes[0] {
		t.Error("the line was read again")
	}
}
