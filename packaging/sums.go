package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// sumsOf is a list of checksums as sha256sum writes it, sorted.
func sumsOf(files map[string][]byte) []byte {
	var list bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return list.Bytes()
}

// addSum adds a file to the list of those in a folder, if there is one, or
// replaces what the list has of it.
func addSum(list, name string, content []byte) error {
	text, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := slices.DeleteFunc(slices.Collect(strings.Lines(string(text))), func(line string) bool {
		return strings.HasSuffix(strings.TrimSuffix(line, "\n"), "  "+name)
	})
	lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(content), name))
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(fileOf(a), fileOf(b)) })
	return os.WriteFile(list, []byte(strings.Join(lines, "")), 0o644)
}

// verifySums says everything in which a package is not what its list says: a
// file that is another, that is missing, or that nobody has listed.
func (p *packed) verifySums() error {
	list, ok := p.files[sumsName]
	if !ok {
		return fmt.Errorf("%s: %w", sumsName, fault.ErrNotFound)
	}
	listed := make(map[string]bool)
	var errs []error
	for line := range strings.Lines(string(list.content)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || listed[name] {
			return fmt.Errorf("%s: %w: line %q", sumsName, fault.ErrMalformed, line)
		}
		listed[name] = true
		f, ok := p.files[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s is listed and missing", name))
		case fmt.Sprintf("%x", sha256.Sum256(f.content)) != sum:
			errs = append(errs, fmt.Errorf("%s is not what was packaged", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		if name != sumsName && !listed[name] {
			errs = append(errs, fmt.Errorf("%s is in no list", name))
		}
	}
	return errors.Join(errs...)
}

// fileOf is the name in a line of a list of checksums.
func fileOf(line string) string {
	_, name, _ := strings.Cut(line, "  ")
	return name
}
