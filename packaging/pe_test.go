package main

import (
	"bytes"
	"context"
	"debug/pe"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// images are the smallest program for Windows and the DLL, as a package has
// them. They are built once.
var images = sync.OnceValues(func() (struct{ exe, dll []byte }, error) {
	var made struct{ exe, dll []byte }
	dir, err := os.MkdirTemp("", "gmsa-agent-images-")
	if err != nil {
		return made, err
	}
	defer os.RemoveAll(dir)
	for _, i := range []struct {
		to        *[]byte
		pkg, mode string
		cgo       string
	}{
		{&made.exe, "./cmd/containerd-shim-gmsa", "default", "0"},
		{&made.dll, "./cmd/ccg-plugin", "c-shared", "1"},
	} {
		file := filepath.Join(dir, filepath.Base(i.pkg), "image.dll")
		env := append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED="+i.cgo, "CC="+mingw)
		if _, err := output(context.Background(), moduleRoot, env, "go", "build", "-trimpath",
			"-ldflags=-s -w -buildid=", "-buildmode="+i.mode, "-o", file, i.pkg); err != nil {
			return made, err
		}
		image, err := os.ReadFile(file)
		if err != nil {
			return made, err
		}
		if err := setChecksum(image); err != nil {
			return made, err
		}
		*i.to = image
	}
	return made, nil
})

func TestOurImagesAreAsWindowsShouldHaveThem(t *testing.T) {
	needs(t, mingw)
	i, err := images()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkImage(i.exe, false); err != nil {
		t.Errorf("program: %v", err)
	}
	if err := checkImage(i.dll, true); err != nil {
		t.Errorf("DLL: %v", err)
	}
}

func TestEveryFlawOfAnImageIsFound(t *testing.T) {
	needs(t, mingw)
	i, err := images()
	if err != nil {
		t.Fatal(err)
	}
	header := int(binary.LittleEndian.Uint32(i.exe[0x3c:]))
	const (
		timeDateStamp      = 4 + 4
		characteristics    = 4 + 18
		dllCharacteristics = 4 + 20 + 70
		sectionFlags       = 4 + 20 + 240 + 36 // of the first
	)
	clear16 := func(at int, bits uint16) func([]byte) {
		return func(b []byte) {
			binary.LittleEndian.PutUint16(b[header+at:], binary.LittleEndian.Uint16(b[header+at:])&^bits)
		}
	}
	for name, test := range map[string]struct {
		change func([]byte)
		says   string
	}{
		"no DEP":            {clear16(dllCharacteristics, pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT), "NX_COMPAT"},
		"no ASLR":           {clear16(dllCharacteristics, pe.IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE), "DYNAMIC_BASE"},
		"32 bits of ASLR":   {clear16(dllCharacteristics, pe.IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA), "HIGH_ENTROPY_VA"},
		"a time":            {func(b []byte) { b[header+timeDateStamp] = 1 }, "has the time 1"},
		"no relocations":    {func(b []byte) { b[header+characteristics] |= relocsStripped }, "cannot be moved"},
		"a DLL":             {func(b []byte) { b[header+characteristics+1] |= pe.IMAGE_FILE_DLL >> 8 }, "it is a DLL"},
		"code to write to":  {func(b []byte) { b[header+sectionFlags+3] |= sectionWrite >> 24 }, ".text can be written and run"},
		"a planted import":  {func(b []byte) { copy(b[bytes.Index(b, []byte("kernel32.dll\x00")):], "kernel33.dll") }, "it imports kernel33.dll"},
		"not for Windows":   {func(b []byte) { b[0] = 'X' }, ""},
		"for another model": {func(b []byte) { b[header+4] = 0x4c; b[header+5] = 0x01 }, ""},
	} {
		image := bytes.Clone(i.exe)
		test.change(image)
		if err := setChecksum(image); err != nil {
			t.Fatal(err)
		}
		if err := checkImage(image, false); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %q", name, err, test.says)
		}
	}
	wrong := bytes.Clone(i.exe)
	wrong[len(wrong)-1] ^= 1
	if err := checkImage(wrong, false); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a changed byte: %v", err)
	}
	dll := bytes.Replace(bytes.Clone(i.dll), []byte("DllCanUnloadNow\x00"), []byte("DllCanUnloadNew\x00"), 1)
	if err := setChecksum(dll); err != nil {
		t.Fatal(err)
	}
	if err := checkImage(dll, true); err == nil || !strings.Contains(err.Error(), "it exports [DllCanUnloadNew") {
		t.Errorf("another export: %v", err)
	}
}

// A build that is broken can be anything.
func FuzzCheckImage(f *testing.F) {
	f.Add([]byte("MZ"), true)
	f.Add(make([]byte, 0x200), false)
	small := make([]byte, 0x400)
	copy(small, "MZ")
	small[0x3c] = 0x40
	copy(small[0x40:], "PE\x00\x00\x64\x86")
	small[0x40+4+16] = 240
	small[0x40+4+20], small[0x40+4+21] = 0x0b, 0x02
	f.Add(small, false)
	f.Fuzz(func(t *testing.T, image []byte, dll bool) {
		_ = setChecksum(image)
		_ = checkImage(image, dll)
	})
}
