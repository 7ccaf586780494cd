package main

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

func utf16Bytes(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestTheVersionResourceSaysTheVersion(t *testing.T) {
	t.Parallel()
	p := program{file: "folder/x.dll", dll: true, description: "what it is"}
	for version, want := range map[string][]string{
		"v1.20.3":          {"FILEVERSION 1,20,3,0", "FILEFLAGS 0x0L", "FILETYPE 0x2L", `"OriginalFilename", "x.dll"`, `"FileDescription", "what it is"`},
		"v1.2.3-rc.1+meta": {"FILEVERSION 1,2,3,0", "FILEFLAGS 0x2L", `"ProductVersion", "v1.2.3-rc.1+meta"`},
	} {
		script, err := resourceScript(p, version)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(script, w) {
				t.Errorf("%s: the script lacks %s:\n%s", version, w, script)
			}
		}
	}
	for _, version := range []string{"", "(devel)", "1.2.3", "v1.2", "v1.2.3\"\nEVIL"} {
		if _, err := resourceScript(p, version); err == nil {
			t.Errorf("the version %q was taken", version)
		}
	}
}

// Go's linker takes one object with resources. A program that has one already
// gets another in its place that has both.
func TestAProgramsOwnResourcesStayBesideItsVersion(t *testing.T) {
	needs(t, "go", windres)
	s, err := cloneSource(t.Context(), smallRepository(t), "", filepath.Join(t.TempDir(), "clone"))
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	p := program{pkg: ".", file: "x.exe", description: "with two resources"}
	build := func() []byte {
		t.Helper()
		exe := filepath.Join(tmp, "x.exe")
		env := append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
		if _, err := output(t.Context(), s.dir, env, "go", "build", "-o", exe, "."); err != nil {
			t.Fatal(err)
		}
		f, err := pe.Open(exe)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		section := f.Section(".rsrc")
		if section == nil {
			t.Fatal("the program has no resources")
		}
		data, err := section.Data()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	script := filepath.Join(tmp, "own.rc")
	if err := os.WriteFile(script, []byte("1 11 \"messages\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tmp, "messages"), []byte("its own messages"), 0o600); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(s.dir, "own_windows_amd64.syso")
	if _, err := output(t.Context(), tmp, nil, windres, "-i", script, "-O", "coff", "-o", own); err != nil {
		t.Fatal(err)
	}
	s.tracked = append(s.tracked, "own_windows_amd64.syso")
	if _, err := output(t.Context(), s.dir, nil, "git", "add", "own_windows_amd64.syso"); err != nil {
		t.Fatal(err)
	}
	if err := addResources(t.Context(), s, p, "v1.2.3", tmp); err != nil {
		t.Fatal(err)
	}
	resources := build()
	for what, want := range map[string][]byte{
		"its version": utf16Bytes("v1.2.3"), "its description": utf16Bytes(p.description), "its own": []byte("its own messages"),
	} {
		if !bytes.Contains(resources, want) {
			t.Errorf("the program's resources lack %s", what)
		}
	}
}
