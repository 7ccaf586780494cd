package main

import (
	"os/exec"
	"strings"
	"testing"
)

const moduleRoot = ".."

// trackedFiles are the repository's.
func trackedFiles(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	text, err := output(t.Context(), moduleRoot, nil, "git", "ls-files", "-z")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(text, "\x00"), "\x00")
}

func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
}

// windowsTarget is the one for Windows, with only those programs.
func windowsTarget(t testing.TB, packages ...string) target {
	t.Helper()
	for _, tt := range targets {
		if tt.goos != "windows" {
			continue
		}
		var some []program
		for _, p := range tt.programs {
			for _, pkg := range packages {
				if p.pkg == pkg {
					some = append(some, p)
				}
			}
		}
		if len(some) == len(packages) {
			tt.programs = some
			return tt
		}
	}
	t.Fatalf("no target for Windows has %v", packages)
	return target{}
}
