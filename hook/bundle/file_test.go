package bundle_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func write(t *testing.T, config string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, bundle.FileName), []byte(config), 0o640); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestAFileGetsTheDocumentAndKeepsItsMode(t *testing.T) {
	folder := write(t, `{"windows":{"credentialSpec":"file://a.json"}}`)
	file, err := bundle.Open(folder)
	if err != nil || file.CredentialSpec != "file://a.json" {
		t.Fatalf("%+v, %v", file, err)
	}
	if err := file.SetCredentialSpec([]byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, bundle.FileName)
	got, err := os.ReadFile(path)
	if want := `{"windows":{"credentialSpec":"{}"}}`; err != nil || string(got) != want {
		t.Errorf("file is %s, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o640 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestAFileThatHoldsTheDocumentIsNotWritten(t *testing.T) {
	folder := write(t, `{"windows":{"credentialSpec":"{}"}}`)
	path := filepath.Join(folder, bundle.FileName)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := bundle.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.SetCredentialSpec([]byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced, %v", err)
	}
}

func TestAFileThatCannotBeChangedStaysWhole(t *testing.T) {
	const config = `{"windows":{"credentialSpec":"file://a.json"}}`
	folder := write(t, config)
	file, err := bundle.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.SetCredentialSpec([]byte("\xff")); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("%v, want ErrMalformed", err)
	}
	if got, err := os.ReadFile(filepath.Join(folder, bundle.FileName)); err != nil || string(got) != config {
		t.Errorf("file is %s, %v", got, err)
	}
}

func TestALargeFileIsReadButNotChanged(t *testing.T) {
	folder := write(t, `{"a":"`+strings.Repeat("x", bundle.MaxSize)+`","annotations":{"b":"c"}}`)
	file, err := bundle.Open(folder)
	if err != nil || file.Annotations["b"] != "c" {
		t.Fatalf("%+v, %v", file, err)
	}
	if err := file.SetCredentialSpec([]byte(`{}`)); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("%v, want ErrMalformed", err)
	}
}

func TestOddFilesAreErrors(t *testing.T) {
	if _, err := bundle.Open(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, bundle.FileName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Open(folder); err == nil {
		t.Error("a folder: no error")
	}
	if _, err := bundle.Open(write(t, `{`)); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("cut short: %v", err)
	}
}
