package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/build"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Module     *struct {
		Path string
		Main bool
	}
}

// tree is everything that this module's packages reach on one platform.
type tree struct {
	module   string
	packages map[string]listed // by import path
}

var platforms = []string{"linux", "windows"}

// onPlatform is asked once for each platform: it takes a second.
var onPlatform = map[string]func() (*tree, error){
	"linux":   sync.OnceValues(func() (*tree, error) { return list("linux") }),
	"windows": sync.OnceValues(func() (*tree, error) { return list("windows") }),
}

// list asks with cgo, which the DLL needs, and without the C compiler, which
// listing does not. A package without files for the platform is left out.
func list(goos string) (*tree, error) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Standard,Imports,Module", "./...")
	cmd.Dir = moduleRoot
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=1", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New("go list: " + stderr.String())
	}
	t := &tree{packages: make(map[string]listed)}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		t.packages[p.ImportPath] = p
		if p.Module != nil && p.Module.Main {
			t.module = p.Module.Path
		}
	}
	return t, nil
}

// eachPlatform runs check for the tree of every platform.
func eachPlatform(t *testing.T, check func(*testing.T, *tree)) {
	for _, goos := range platforms {
		t.Run(goos, func(t *testing.T) {
			tree, err := onPlatform[goos]()
			if err != nil {
				t.Fatal(err)
			}
			if len(tree.own()) == 0 {
				t.Fatal("go list found no package of this module")
			}
			check(t, tree)
		})
	}
}

// own are the module's packages, relative to it, sorted.
func (t *tree) own() []string {
	var names []string
	for path := range t.packages {
		if rel, ok := t.relative(path); ok {
			names = append(names, rel)
		}
	}
	slices.Sort(names)
	return names
}

func (t *tree) relative(path string) (string, bool) {
	if path == t.module {
		return ".", true
	}
	return strings.CutPrefix(path, t.module+"/")
}

// name is how rules call a package: relative for our own, the path for the
// standard library's, and for others the module's.
func (t *tree) name(path string) string {
	if rel, own := t.relative(path); own {
		return rel
	}
	if p := t.packages[path]; p.Module != nil {
		return p.Module.Path
	}
	return path
}

// reached are the packages that an own package reaches, itself left out, each
// with the one that it was reached from.
func (t *tree) reached(own string) map[string]string {
	start := t.module + "/" + own
	from := map[string]string{start: ""}
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		for _, next := range t.packages[queue[0]].Imports {
			if _, seen := from[next]; !seen && next != "C" {
				from[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	delete(from, start)
	return from
}

// chain is how a package is reached: "a → b → c".
func (t *tree) chain(from map[string]string, path string) string {
	names := []string{t.short(path)}
	for p := from[path]; p != ""; p = from[p] {
		names = append(names, t.short(p))
	}
	slices.Reverse(names)
	return strings.Join(names, " → ")
}

func (t *tree) short(path string) string {
	if rel, own := t.relative(path); own {
		return rel
	}
	return path
}

// violations are the packages reached from own that bad takes by name and that
// nothing bad stands before: the first wrong arrow is the one to mend.
func (t *tree) violations(own string, bad func(name string, p listed) bool) []string {
	from := t.reached(own)
	var found []string
	for path, before := range from {
		if !bad(t.name(path), t.packages[path]) {
			continue
		}
		if _, inside := from[before]; inside && bad(t.name(before), t.packages[before]) {
			continue
		}
		found = append(found, t.chain(from, path))
	}
	slices.Sort(found)
	return found
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == "..." {
			return true
		}
		if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
			return name == folder || strings.HasPrefix(name, folder+"/")
		}
		return name == pattern
	})
}

func TestImportsFollowTheDesign(t *testing.T) {
	eachPlatform(t, func(t *testing.T, tree *tree) {
		for _, rule := range rules {
			for _, own := range tree.own() {
				if !matches(rule.who, own) || matches(rule.but, own) {
					continue
				}
				bad := func(name string, p listed) bool {
					_, isOwn := tree.relative(p.ImportPath)
					if matches(rule.never, name) || !isOwn && matches(rule.never, p.ImportPath) {
						return true
					}
					return rule.only != nil && !p.Standard && !matches(rule.only, name) && name != own
				}
				for _, chain := range tree.violations(own, bad) {
					t.Errorf("%s\n\tmust not be: %s", chain, rule.why)
				}
			}
		}
	})
}

// What other modules import is theirs: one that Vault's client is built on
// imports testing outside of its tests.
func TestTheProductsOwnPackagesDoNotImportTesting(t *testing.T) {
	tests := []string{"integration/...", "credspec/credspectest", "secrets/secretstest"}
	eachPlatform(t, func(t *testing.T, tree *tree) {
		for _, own := range tree.own() {
			p := tree.packages[tree.module+"/"+own]
			if !matches(tests, own) && slices.Contains(p.Imports, "testing") {
				t.Errorf("%s → testing\n\tmust not be: the product contains no tests", own)
			}
		}
	})
}

func TestSiblingsDoNotImportEachOther(t *testing.T) {
	eachPlatform(t, func(t *testing.T, tree *tree) {
		for _, family := range families {
			for _, own := range tree.own() {
				leaf := leafOf(family.folder, own)
				if leaf == "" || own == family.list || matches(family.shared, own) {
					continue
				}
				bad := func(name string, _ listed) bool {
					other := leafOf(family.folder, name)
					return other != "" && other != leaf && !matches(family.shared, name)
				}
				for _, chain := range tree.violations(own, bad) {
					t.Errorf("%s\n\tmust not be: %s", chain, family.why)
				}
			}
		}
	})
}

// leafOf is the first folder below the family's; empty for what is not below it.
func leafOf(folder, name string) string {
	rest, ok := strings.CutPrefix(name, folder+"/")
	if !ok {
		return ""
	}
	leaf, _, _ := strings.Cut(rest, "/")
	return leaf
}

// A rule about packages that were renamed guards nothing.
func TestRulesNameWhatExists(t *testing.T) {
	known := func(pattern string) bool {
		folder := strings.TrimSuffix(pattern, "/...")
		if pattern == "..." || strings.Contains(strings.SplitN(folder, "/", 2)[0], ".") {
			return true // all, or another module
		}
		if _, err := os.Stat(filepath.Join(moduleRoot, folder)); err == nil {
			return true
		}
		_, err := os.Stat(filepath.Join(build.Default.GOROOT, "src", folder))
		return err == nil // in the standard library
	}
	for _, rule := range rules {
		for _, pattern := range slices.Concat(rule.who, rule.but, rule.only, rule.never) {
			if !known(pattern) && !matches(planned, strings.TrimSuffix(pattern, "/...")) {
				t.Errorf("a rule names %s, which does not exist: %s", pattern, rule.why)
			}
		}
	}
}

// planned are folders of the design that rules guard before they are there.
var planned []string
