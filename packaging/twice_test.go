package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is most likely to differ is what a C compiler and its linker make; make
// dist-check does the same with all programs.
func TestThePackageOfACommitHasTheSameBytesWhereverItIsMade(t *testing.T) {
	needs(t, "git", mingw)
	if testing.Short() {
		t.Skip("it compiles the standard library anew: go test without -short, or make dist-check")
	}
	first := builder{
		report: t.Logf, commit: "HEAD", repository: moduleRoot, anyCompiler: true,
		targets: []target{windowsTarget(t, "cmd/ccg-plugin", "cmd/containerd-shim-gmsa")},
	}
	if err := twice(t.Context(), first, false, t.TempDir()); err != nil {
		t.Error(err)
	}
}

// The comparison finds what differs: a file that nobody else has, a byte in a
// file, a byte in a file of an archive.
func TestADifferenceIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	write := func(content string, extra bool) string {
		dir := t.TempDir()
		p := somePackage(t, map[string]string{"a": content, "b": "the same"})
		archive, err := p.archive()
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{p.file: archive, "list": []byte("x")}
		if extra {
			files["more"] = nil
		}
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	silent := func(string, ...any) {}
	if err := compare(silent, write("12345", false), write("12345", false)); err != nil {
		t.Errorf("equal packages: %v", err)
	}
	if err := compare(silent, write("12345", false), write("12x45", false)); err == nil || !strings.Contains(err.Error(), "a at byte 2") {
		t.Errorf("packages that differ in a's third byte: %v", err)
	}
	if err := compare(silent, write("12345", false), write("12345", true)); err == nil || !strings.Contains(err.Error(), "more") {
		t.Errorf("one has a file more: %v", err)
	}
}

func TestArchivesDependOnTheirContentAlone(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{".zip", ".tar.gz"} {
		var archives [2][]byte
		for i := range archives {
			p := somePackage(t, map[string]string{"a": "1", "docs/b": "2", "c": "3", "d": "4", "e": "5"})
			p.file = p.name + ending
			var err error
			if archives[i], err = p.archive(); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(archives[0], archives[1]) {
			t.Errorf("two archives %s of the same files differ", ending)
		}
	}
}
