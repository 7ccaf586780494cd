package layout

import (
	"bytes"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const moduleRoot = "../.."

// files calls visit for every file of the repository, with its slash-separated
// path; what is built or fetched is left out.
func files(t *testing.T, visit func(path string)) {
	t.Helper()
	root := os.DirFS(moduleRoot)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (path == ".git" || path == "bin" || path == "dist") {
			return fs.SkipDir
		}
		if path != ".git" && d.Type().IsRegular() {
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goFiles are the Go files by folder, those for other platforms too.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	byFolder := make(map[string][]string)
	files(t, func(path string) {
		folder := filepath.ToSlash(filepath.Dir(path))
		if strings.HasSuffix(path, ".go") && !slices.Contains(strings.Split(folder, "/"), "testdata") {
			byFolder[folder] = append(byFolder[folder], path)
		}
	})
	return byFolder
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleRoot, path), nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEveryPackageSaysOnceWhatItIsFor(t *testing.T) {
	for folder, paths := range goFiles(t) {
		var documented []string
		product := false
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			product = true
			f := parse(t, path)
			doc := f.Doc.Text()
			if strings.TrimSpace(doc) == "" {
				continue
			}
			documented = append(documented, path)
			want := "Package " + f.Name.Name + " "
			if f.Name.Name == "main" {
				want = "Command "
			}
			if !strings.HasPrefix(doc, want) {
				t.Errorf("%s: the package comment begins %q, must begin %q", path, first(doc, len(want)), want)
			}
		}
		if product && len(documented) != 1 {
			t.Errorf("%s: the package comment is in %d files %v, must be in one", folder, len(documented), documented)
		}
	}
}

func first(s string, n int) string { return s[:min(n, len(s))] }

func TestPackagesHaveNamesThatSaySomething(t *testing.T) {
	empty := []string{"util", "utils", "common", "helper", "helpers", "misc"}
	for folder, paths := range goFiles(t) {
		name := strings.TrimSuffix(parse(t, paths[0]).Name.Name, "_test")
		for _, word := range append(strings.Split(folder, "/"), name) {
			if slices.Contains(empty, word) {
				t.Errorf("%s: %q says nothing about what is in it", folder, word)
			}
		}
	}
}

func TestWhatDecidesHasNoPlatformCode(t *testing.T) {
	for folder, paths := range goFiles(t) {
		for _, free := range platformFree {
			if folder != free.folder && !strings.HasPrefix(folder, free.folder+"/") {
				continue
			}
			for _, path := range paths {
				if strings.HasSuffix(path, "_test.go") {
					continue
				}
				for _, goos := range []string{"linux", "windows", "darwin"} {
					context := build.Default
					context.GOOS, context.GOARCH = goos, "amd64"
					dir, name := filepath.Split(filepath.Join(moduleRoot, path))
					if match, err := context.MatchFile(dir, name); err != nil || !match {
						t.Errorf("%s is not for %s (%v): %s", path, goos, err, free.why)
					}
				}
			}
		}
	}
}

// words are what has no place in the repository. They are put together here,
// so that this file does not have them either.
var words = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`), "what is not done is an issue, not a comment"},
	{regexp.MustCompile(`\b(proxy|sum)\.go` + `lang\.org\b|\b(deb|ftp|security|archive)\.(de` + `bian|ubu` + `ntu)\.(org|com)\b|\bregistry\.np` + `mjs\.org\b`), "where packages come from is each machine's own setting"},
	{regexp.MustCompile(`(^|[^\w.~/-])/(wo` + `rk|ro` + `ot|ho` + `me/\w+)/`), "a path of one machine is wrong on every other"},
}

func TestNothingStandsInTheTreeThatIsOfOneMachineOrUnfinished(t *testing.T) {
	files(t, func(path string) {
		data, err := os.ReadFile(filepath.Join(moduleRoot, path))
		if err != nil {
			t.Error(err)
			return
		}
		if bytes.IndexByte(data, 0) >= 0 {
			return // not text
		}
		for n, line := range bytes.Split(data, []byte("\n")) {
			for _, word := range words {
				if found := word.pattern.Find(line); found != nil {
					t.Errorf("%s:%d: %q: %s", path, n+1, found, word.why)
				}
			}
		}
	})
}
