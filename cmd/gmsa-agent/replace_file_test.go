package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestAFileIsReplacedInOneStepOrKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b") // which is made
	path := filepath.Join(dir, "spec.json")
	content := func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, text := range []string{"first", "second"} {
		if err := replaceFile(path, []byte(text), 0o644, false); err != nil {
			t.Fatal(err)
		}
		if got := content(); got != text {
			t.Errorf("it holds %q", got)
		}
	}
	err := replaceFile(path, []byte("third"), 0o644, true)
	if e := (*fileExists)(nil); !errors.As(err, &e) || !errors.Is(err, fs.ErrExist) || content() != "second" {
		t.Errorf("%v; it holds %q", err, content())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(path, []byte("fourth"), 0o600, true); err != nil || content() != "fourth" {
		t.Errorf("%v; it holds %q", err, content())
	}
	if err := replaceFile(dir, []byte("x"), 0o644, false); err == nil {
		t.Error("a folder was replaced")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// A link in a folder that others may write to leads where they like.
func TestALinkIsReplacedAndNotFollowed(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err) // Windows wants a privilege for it
	}
	if err := replaceFile(link, []byte("new"), 0o644, true); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if err := replaceFile(link, []byte("new"), 0o644, false); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(target); err != nil || string(b) != "kept" {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
}
