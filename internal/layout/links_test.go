package layout

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`^#+ +(.*)$`)
	// A page that a program's text sends people to, as in a hint.
	page = regexp.MustCompile(`\bdocs/[a-z][a-z/-]*\.md\b`)
)

func TestLinksInPagesLeadSomewhere(t *testing.T) {
	pages := map[string]map[string]bool{} // their headings, as links name them
	files(t, func(file string) {
		if path.Ext(file) == ".md" {
			pages[file] = anchors(read(t, file))
		}
	})
	for file := range pages {
		for _, found := range link.FindAllStringSubmatch(prose(read(t, file)), -1) {
			to, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(to, ":") {
				continue // elsewhere
			}
			target := file
			if to != "" {
				target = path.Join(path.Dir(file), to)
			}
			if _, err := os.Stat(filepath.Join(moduleRoot, target)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", file, found[1])
			} else if anchor != "" && !pages[target][anchor] {
				t.Errorf("%s: the link %s leads to no heading of %s", file, found[1], target)
			}
		}
	}
}

func TestPagesThatAreNamedInTheCodeAreThere(t *testing.T) {
	for _, paths := range goFiles(t) {
		for _, file := range paths {
			for _, name := range page.FindAllString(read(t, file), -1) {
				if _, err := os.Stat(filepath.Join(moduleRoot, name)); err != nil {
					t.Errorf("%s: names %s, which is not there", file, name)
				}
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// prose is a page without its blocks of code.
func prose(text string) string {
	var b strings.Builder
	code := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		} else if !code {
			b.WriteString(line)
		}
	}
	return b.String()
}

// anchors are the names that a page's headings have in links, as GitHub makes
// them: small letters, digits and hyphens, the rest left out.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(prose(text)) {
		title := heading.FindStringSubmatch(strings.TrimSpace(line))
		if title == nil {
			continue
		}
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, link.ReplaceAllString(title[1], "]"))] = true
	}
	return found
}
