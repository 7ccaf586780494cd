package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/credspec/file"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestSource(t *testing.T) {
	credspectest.Run(t, func(t *testing.T) credspectest.Fixture {
		folder := t.TempDir()
		return credspectest.Fixture{
			Source:  source(t, folder),
			Missing: ref("missing.json"),
			Put: func(t *testing.T, name string, data []byte) credspec.Ref {
				write(t, filepath.Join(folder, name+".json"), string(data))
				return ref(name + ".json")
			},
		}
	})
}

func source(t *testing.T, folders ...string) *file.Source {
	t.Helper()
	s, err := file.New(folders...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ref(name string) credspec.Ref { return credspec.Ref{Scheme: file.Scheme, Rest: name} }

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSourceLooksInFoldersInTheirOrder(t *testing.T) {
	first, second, absent := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "absent")
	write(t, filepath.Join(first, "both.json"), "first")
	write(t, filepath.Join(second, "both.json"), "second")
	write(t, filepath.Join(second, "team", "one.json"), "one")
	s := source(t, absent, first, second)
	for name, want := range map[string]struct{ data, origin string }{
		"both.json":     {"first", filepath.Join(first, "both.json")},
		"team/one.json": {"one", filepath.Join(second, "team", "one.json")},
	} {
		doc, err := s.Resolve(t.Context(), ref(name))
		if err != nil || string(doc.Data) != want.data || doc.Origin != want.origin {
			t.Errorf("%s: %q from %s, %v", name, doc.Data, doc.Origin, err)
		}
	}
}

func TestSourceNamesTheFoldersItSearched(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	write(t, filepath.Join(first, "file.json"), "x")
	s := source(t, first, second)
	for _, name := range []string{"x.json", "sub/x.json", "file.json/x.json"} {
		_, err := s.Resolve(t.Context(), ref(name))
		if !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%s: error %v, want fault.ErrNotFound", name, err)
		} else if want := "no " + filepath.FromSlash(name) + " in folders " + first + ", " + second; !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %q, want %q in it", name, err, want)
		}
	}
	if _, err := source(t).Resolve(t.Context(), ref("x.json")); !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "no credential spec folder is configured") {
		t.Errorf("without folders: %v", err)
	}
}

// The parser of references refuses climbing paths too; this is the second lock.
func TestSourceNeverLeavesItsFoldersByAPath(t *testing.T) {
	outside := t.TempDir()
	folder := filepath.Join(outside, "specs")
	write(t, filepath.Join(outside, "secret.json"), "canary")
	write(t, filepath.Join(folder, "in.json"), "in")
	for _, name := range []string{"../secret.json", "a/../../secret.json", filepath.Join(outside, "secret.json")} {
		if doc, err := source(t, folder).Resolve(t.Context(), ref(name)); err == nil || errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("%s: %q, %v", name, doc.Data, err)
		}
	}
}

func TestSourceNeverLeavesItsFoldersByALink(t *testing.T) {
	outside := t.TempDir()
	folder := filepath.Join(outside, "specs")
	write(t, filepath.Join(outside, "secret.json"), "canary")
	write(t, filepath.Join(folder, "in.json"), "in")
	for link, target := range map[string]string{
		"within.json":   "in.json",
		"absolute.json": filepath.Join(outside, "secret.json"),
		"climbing.json": filepath.Join("..", "secret.json"),
		"folder":        outside,
	} {
		if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	s := source(t, folder)
	if doc, err := s.Resolve(t.Context(), ref("within.json")); err != nil || string(doc.Data) != "in" {
		if runtime.GOOS == "windows" && errors.Is(err, fault.ErrNotFound) {
			t.Skip("no symbolic links that system calls relative to a folder can see (Wine's are such)")
		}
		t.Errorf("a link within the folder: %q, %v", doc.Data, err)
	}
	for _, name := range []string{"absolute.json", "climbing.json", "folder/secret.json"} {
		doc, err := s.Resolve(t.Context(), ref(name))
		if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: %q, %v; want fault.ErrDenied naming %s", name, doc.Data, err, folder)
		}
	}
}

// A name that is there and cannot be read must not silently mean another
// file of that name further on.
func TestSourceDoesNotLookOnPastAnError(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(first, "x.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(second, "x.json"), "second")
	doc, err := source(t, first, second).Resolve(t.Context(), ref("x.json"))
	if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("%q, %v", doc.Data, err)
	}
}

func TestNewRefusesAFolderThatDependsOnTheWorkingDirectory(t *testing.T) {
	if _, err := file.New("specs"); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("error %v", err)
	}
}

func BenchmarkResolve(b *testing.B) {
	folder := b.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "x.json"), []byte(credspectest.Document), 0o644); err != nil {
		b.Fatal(err)
	}
	s, err := file.New(folder)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Resolve(b.Context(), ref("x.json")); err != nil {
			b.Fatal(err)
		}
	}
}
