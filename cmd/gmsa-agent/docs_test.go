package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

const docsFile = "../../docs/cli.md"

// docSections are the page's sections by title; the first word group of a
// title, up to what is upper case, is a command.
func docSections(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for section := range strings.SplitSeq("\n"+string(page), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		var command []string
		for word := range strings.FieldsSeq(title) {
			if strings.ToLower(word) != word {
				break
			}
			command = append(command, word)
		}
		sections[strings.Join(command, " ")] = body
		if title == "Global flags" {
			sections[title] = body
		}
	}
	return sections
}

// eachCommand visits the commands that do something, by their words.
func eachCommand(commands []*cli.Command, before string, visit func(words string, c *cli.Command)) {
	for _, c := range commands {
		words := strings.TrimSpace(before + " " + c.Name)
		if len(c.Subcommands) == 0 || c.Name == "containers" {
			visit(words, c)
		}
		eachCommand(c.Subcommands, words, visit)
	}
}

func TestEveryCommandAndFlagIsDocumented(t *testing.T) {
	sections := docSections(t)
	app := newSession(nil, &bytes.Buffer{}, &bytes.Buffer{}).app()
	var global []string
	for _, f := range app.Flags {
		global = append(global, f.Names()...)
		for _, name := range f.Names() {
			if !strings.Contains(sections["Global flags"], "`"+dashed(name)) {
				t.Errorf("%s: the global flag %s is not described", docsFile, dashed(name))
			}
		}
	}
	documented := regexp.MustCompile("`(--?[a-z][a-z-]*)")
	var commands []string
	eachCommand(app.Commands, "", func(words string, c *cli.Command) {
		commands = append(commands, words)
		section, ok := sections[words]
		if !ok {
			t.Errorf("%s has no section %q", docsFile, words)
			return
		}
		var known []string
		for _, f := range c.Flags {
			for _, name := range f.Names() {
				known = append(known, dashed(name))
				if !slices.Contains(global, name) && !strings.Contains(section, "`"+dashed(name)) {
					t.Errorf("%s: the flag %s of %q is not described", docsFile, dashed(name), words)
				}
			}
		}
		for _, m := range documented.FindAllStringSubmatch(section, -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s: %q does not have the flag %s", docsFile, words, m[1])
			}
		}
	})
	for words := range sections {
		if words != "" && words != "Global flags" && !slices.Contains(commands, words) {
			t.Errorf("%s: there is no command %q", docsFile, words)
		}
	}
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// Each argument that a command takes stands in its section's title.
func TestTitlesShowTheArguments(t *testing.T) {
	page, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	app := newSession(nil, &bytes.Buffer{}, &bytes.Buffer{}).app()
	eachCommand(app.Commands, "", func(words string, c *cli.Command) {
		title := strings.TrimSpace("## " + words + " " + c.ArgsUsage)
		if !strings.Contains(string(page), "\n"+title+"\n") {
			t.Errorf("%s has no section titled %q", docsFile, title)
		}
	})
}

func TestEveryStoreHasAPageOfItsOwn(t *testing.T) {
	for _, scheme := range secrets.Schemes() {
		page, err := os.ReadFile("../../docs/stores/" + scheme + ".md")
		if err != nil {
			t.Error(err)
			continue
		}
		for _, title := range []string{"References", "Settings", "A sample", "Least permissions", "Errors", "Security considerations", "Platforms"} {
			if !bytes.Contains(page, []byte("\n## "+title+"\n")) {
				t.Errorf("docs/stores/%s.md has no section %q", scheme, title)
			}
		}
	}
}

func TestEverySourceHasAPageOfItsOwn(t *testing.T) {
	for _, scheme := range credspec.KnownSchemes() {
		if scheme == "http" {
			continue // https's
		}
		if _, err := os.Stat("../../docs/sources/" + scheme + ".md"); err != nil {
			t.Error(err)
		}
	}
}
