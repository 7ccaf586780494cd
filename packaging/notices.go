package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// cLicences are the texts that Debian's packages of the C parts come with.
var cLicences = []struct{ project, package_, file string }{
	{mingwProject, "mingw-w64-x86-64-dev", "/usr/share/doc/mingw-w64-x86-64-dev/copyright"},
	{gccProject, "gcc-mingw-w64-base", "/usr/share/doc/gcc-mingw-w64-base/copyright"},
}

// notices lists what a package's programs are linked of, and gives every
// licence and notice once, behind the list of what it goes with.
func notices(ctx context.Context, modules []module, t target) ([]byte, error) {
	goroot, err := output(ctx, "", nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	var texts []string
	owners := make(map[string][]string)
	add := func(owner, text string) {
		text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
		if owners[text] == nil {
			texts = append(texts, text)
		}
		owners[text] = append(owners[text], owner)
	}
	for _, name := range []string{"LICENSE", "PATENTS"} {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(goroot), name))
		if err != nil {
			return nil, fmt.Errorf("the licence of Go: %w", err)
		}
		add("Go's standard library ("+name+")", string(content))
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "The programs in this package are linked of parts by others.\n"+
		"Each Go module is published as source under its path and version.\n\n")
	fmt.Fprintf(&out, "  %-26s %s\n", "BSD-3-Clause", "Go's standard library")
	for _, m := range modules {
		fmt.Fprintf(&out, "  %-26s %s %s\n", strings.Join(m.ids(), ", "), m.path, m.version)
		for _, l := range m.licences {
			add(fmt.Sprintf("%s %s (%s)", m.path, m.version, l.file), l.text)
		}
	}
	if t.hasDLL() {
		fmt.Fprintf(&out, "  %-26s %s\n", "see below", "mingw-w64's runtime and GCC's, in the DLL; GCC's under its Runtime Library Exception")
		for _, c := range cLicences {
			content, err := os.ReadFile(c.file)
			if err != nil {
				return nil, fmt.Errorf("the licence of %s: %w (it comes with Debian's package %s)", c.project, err, c.package_)
			}
			add(c.project+"'s runtime", string(content))
		}
	}
	for _, text := range texts {
		fmt.Fprintf(&out, "\n%s\n", strings.Repeat("=", 78))
		for _, owner := range owners[text] {
			fmt.Fprintln(&out, owner)
		}
		fmt.Fprintf(&out, "%s\n\n%s\n", strings.Repeat("-", 78), text)
	}
	return out.Bytes(), nil
}

func (t target) hasDLL() bool {
	for _, p := range t.programs {
		if p.dll {
			return true
		}
	}
	return false
}
