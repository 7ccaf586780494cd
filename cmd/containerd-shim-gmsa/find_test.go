package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// shimName is a shim's file name on the platform of the test.
func shimName() string {
	if runtime.GOOS == "windows" {
		return "containerd-shim-runhcs-v1.exe"
	}
	return "containerd-shim-runc-v2"
}

// program makes a file that could be run, in a folder of its own.
func program(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheRealShimIsTheOneOfTheSettingsElseBesideContainerdElseOnThePath(t *testing.T) {
	self := program(t, shimName(), "wrapper")
	onPath := program(t, shimName(), "on the path")
	beside := program(t, shimName(), "beside containerd")
	named := program(t, "other", "named")
	t.Setenv("PATH", strings.Join([]string{"", ".", filepath.Dir(self), filepath.Dir(onPath)}, string(filepath.ListSeparator)))

	f := finder{self: self, name: self}
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, onPath},
		{func() { f.containerd = "containerd" }, onPath},
		{func() { f.containerd = filepath.Join(filepath.Dir(beside), "containerd") }, beside},
		{func() { f.settings.shim = named }, named},
		{func() { f.settings.shim = filepath.Join(t.TempDir(), "missing") }, beside},
	} {
		step.change()
		if got, err := f.find(); err != nil || got != step.want {
			t.Errorf("%+v: got %s, %v, want %s", f, got, err, step.want)
		}
	}
}

func TestTheWrapperIsNeverTakenForTheRealShim(t *testing.T) {
	self := program(t, shimName(), "wrapper")
	link := filepath.Join(t.TempDir(), shimName())
	if err := os.Link(self, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(self)+string(filepath.ListSeparator)+filepath.Dir(link))
	f := finder{self: self, name: shimName(), containerd: filepath.Join(filepath.Dir(link), "containerd"), settings: settings{shim: self}}
	got, err := f.find()
	if !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "is this wrapper") || !strings.Contains(err.Error(), settingsFile) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestAFolderOrAFileThatCannotBeRunIsNotTheRealShim(t *testing.T) {
	self := program(t, shimName(), "wrapper")
	folder := filepath.Join(t.TempDir(), shimName())
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(folder))
	if got, err := (finder{self: self, name: self}).find(); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("folder: got %s, %v", got, err)
	}
	if runtime.GOOS == "windows" {
		return // every file that is there can be run
	}
	plain := program(t, shimName(), "")
	if err := os.Chmod(plain, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(plain))
	if got, err := (finder{self: self, name: self}).find(); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("not executable: got %s, %v", got, err)
	}
}
