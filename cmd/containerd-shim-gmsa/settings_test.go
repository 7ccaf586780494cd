package main

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// absolute is an absolute path on the platform of the test.
func absolute() string {
	if runtime.GOOS == "windows" {
		return `C:\Program Files\containerd\containerd-shim-runhcs-v1.exe`
	}
	return "/usr/bin/containerd-shim-runc-v2"
}

func TestSettingsAreLinesOfKeyAndValue(t *testing.T) {
	text := "\ufeff# where things are\r\n\r\n shim = " + absolute() + " \r\nendpoint=x = y"
	got, err := parseSettings([]byte(text))
	if want := (settings{shim: absolute(), endpoint: "x = y"}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := parseSettings(nil); err != nil || got != (settings{}) {
		t.Errorf("nothing: got %+v, %v", got, err)
	}
}

func TestAllProblemsOfTheSettingsAreNamedWithTheirLine(t *testing.T) {
	text := "endpoint = a\nendpoint = b\nshim = containerd-shim\nShim = x\nshim\n"
	got, err := parseSettings([]byte(text))
	if !errors.Is(err, fault.ErrMalformed) {
		t.Fatalf("%v, want ErrMalformed", err)
	}
	for _, want := range []string{
		"line 2: malformed: endpoint is set twice",
		`line 3: malformed: shim "containerd-shim" is not an absolute path`,
		`line 4: malformed: unknown key "Shim"`,
		"line 5: malformed: shim has no value",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if got.endpoint != "a" {
		t.Errorf("what could be read is lost: %+v", got)
	}
	for name, text := range map[string]string{"UTF-16": "\xff\xfes\x00", "too large": strings.Repeat("#", maxSettings+1)} {
		if _, err := parseSettings([]byte(text)); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte("# c\nshim = /a\nendpoint = /b\n"))
	f.Add([]byte("\ufeffshim=C:\\a b\r\n=\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSettings(text)
		if s.shim != "" && !filepath.IsAbs(s.shim) {
			t.Errorf("shim %q is not absolute", s.shim)
		}
		if err != nil && !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%v does not wrap ErrMalformed", err)
		}
	})
}
