package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is a Go module that programs of a package are linked of.
type module struct {
	path, version string
	licences      []licence
}

// licence is a text that goes with some or all of a module.
type licence struct {
	file string // below the module's folder
	id   string // SPDX; empty for a notice
	text string
}

// linkedModules are those of which at least one package is in a program, with
// the licences of what is linked: the module's, and those in the folders of
// the linked packages and above.
func linkedModules(ctx context.Context, s *source, t target, programs []built) ([]module, error) {
	type found struct {
		dir     string
		folders map[string]bool // of linked packages and above, in dir
	}
	all := make(map[[2]string]*found)
	for _, p := range programs {
		env, err := buildEnvironment(ctx, t.goos, p.dll, "")
		if err != nil {
			return nil, err
		}
		text, err := output(ctx, s.dir, env, "go", "list", "-deps", "-json=Dir,Module", "./"+p.pkg)
		if err != nil {
			return nil, err
		}
		mine := make(map[[2]string]bool)
		for d := json.NewDecoder(strings.NewReader(text)); ; {
			var pkg struct {
				Dir    string
				Module *struct {
					Path, Version, Dir string
					Main               bool
				}
			}
			if err := d.Decode(&pkg); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("go list: %w", err)
			}
			if pkg.Module == nil || pkg.Module.Main {
				continue
			}
			key := [2]string{pkg.Module.Path, pkg.Module.Version}
			mine[key] = true
			m := all[key]
			if m == nil {
				m = &found{pkg.Module.Dir, make(map[string]bool)}
				all[key] = m
			}
			for dir := pkg.Dir; len(dir) >= len(m.dir); dir = filepath.Dir(dir) {
				m.folders[dir] = true
			}
		}
		// What is in the program is what the program says.
		for _, dep := range p.info.Deps {
			if dep.Replace != nil || !mine[[2]string{dep.Path, dep.Version}] {
				return nil, fmt.Errorf("%s is linked of %s %s, and go list does not say so", p.file, dep.Path, dep.Version)
			}
		}
	}
	var modules []module
	for key, m := range all {
		licences, err := licencesIn(m.dir, slices.Sorted(maps.Keys(m.folders)))
		if err != nil {
			return nil, fmt.Errorf("licence of %s %s: %w", key[0], key[1], err)
		}
		modules = append(modules, module{key[0], key[1], licences})
	}
	slices.SortFunc(modules, func(a, b module) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.version, b.version))
	})
	return modules, nil
}

// licenceFile are the names that licences and notices go by.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

func licencesIn(root string, folders []string) ([]licence, error) {
	var all []licence
	known := false
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			name, err := filepath.Rel(root, filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			l := licence{file: filepath.ToSlash(name), text: string(content)}
			if kind := strings.ToLower(e.Name()); !strings.HasPrefix(kind, "notice") && !strings.HasPrefix(kind, "patents") && kind != "license.docs" {
				if l.id = identify(l.text); l.id == "" {
					return nil, fmt.Errorf("%s is a text that is not known here: read it, and add what it is called", l.file)
				}
				known = true
			}
			all = append(all, l)
		}
	}
	if !known {
		return nil, errors.New("there is none")
	}
	return all, nil
}

// licenceTexts are the licences of which the project's may be linked, by
// sentences that are in no other. The first that fits is taken.
var licenceTexts = []struct {
	id   string
	says []string
}{
	{"MPL-2.0", []string{"mozilla public license", "2.0"}},
	{"Apache-2.0", []string{"apache license", "version 2.0, january 2004"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "used to endorse or promote products"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms", "provided with the distribution"}},
	{"ISC", []string{"permission to use, copy, modify, and", "distribute this software for any purpose"}},
	{"MIT", []string{"permission is hereby granted, free of charge"}},
	{"CC0-1.0", []string{"cc0 1.0 universal"}},
}

// identify gives a licence's SPDX name; empty for a text that is not known.
func identify(text string) string {
	plain := strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return strings.ContainsRune(" \t\r\n>*#", r)
	}), " ")
	for _, l := range licenceTexts {
		if !slices.ContainsFunc(l.says, func(s string) bool { return !strings.Contains(plain, s) }) {
			return l.id
		}
	}
	return ""
}

// ids are the names of a module's licences.
func (m module) ids() []string {
	var ids []string
	for _, l := range m.licences {
		if l.id != "" {
			ids = append(ids, l.id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
