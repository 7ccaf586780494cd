package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// somePackage is a package of the files, with their checksums.
func somePackage(t testing.TB, files map[string]string) namedPackage {
	t.Helper()
	p := namedPackage{
		packed: packed{files: make(map[string]packedFile), time: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)},
		name:   "gmsa-agent-v1.2.3-windows-amd64",
	}
	p.file = p.name + ".zip"
	for name, content := range files {
		p.files[name] = packedFile{content: []byte(content), executable: strings.HasSuffix(name, ".exe")}
	}
	p.sum()
	return p
}

func writePackage(t testing.TB, p namedPackage) string {
	t.Helper()
	archive, err := p.archive()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), p.file)
	if err := os.WriteFile(file, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAPackageIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{".zip", ".tar.gz"} {
		p := somePackage(t, map[string]string{"a.exe": "program", "pages/deep/page.md": "words"})
		p.file = p.name + ending
		got, err := readPackage(writePackage(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.files, got.files, cmp.AllowUnexported(packedFile{})); diff != "" {
			t.Errorf("%s: written (-), read (+):\n%s", ending, diff)
		}
		if got.name != p.name || !got.time.Equal(p.time) {
			t.Errorf("%s: name %s, time %v; want %s, %v", ending, got.name, got.time, p.name, p.time)
		}
		if err := got.verifySums(); err != nil {
			t.Errorf("%s: %v", ending, err)
		}
	}
}

func TestAPackageThatIsNotOursIsRefused(t *testing.T) {
	t.Parallel()
	type entry struct {
		name string
		mode fs.FileMode
	}
	for name, entries := range map[string][]entry{
		"a path that leads out":      {{"p/a", 0o644}, {"p/../b", 0o644}},
		"a path from the root":       {{"/p/a", 0o644}},
		"a path of Windows":          {{`p/..\b`, 0o644}},
		"a drive":                    {{"p/c:b", 0o644}},
		"a file in no folder":        {{"a", 0o644}},
		"two folders":                {{"p/a", 0o644}, {"q/b", 0o644}},
		"a file that is there twice": {{"p/a", 0o644}, {"p/a", 0o644}},
		"a link":                     {{"p/a", 0o777 | fs.ModeSymlink}},
		"a folder":                   {{"p/a", 0o755 | fs.ModeDir}},
	} {
		var zipped, tarred bytes.Buffer
		z := zip.NewWriter(&zipped)
		g := gzip.NewWriter(&tarred)
		w := tar.NewWriter(g)
		for _, e := range entries {
			zh := &zip.FileHeader{Name: e.name}
			zh.SetMode(e.mode)
			if _, err := z.CreateHeader(zh); err != nil {
				t.Fatal(err)
			}
			th := &tar.Header{Name: e.name, Mode: int64(e.mode.Perm()), Typeflag: tar.TypeReg}
			switch {
			case e.mode&fs.ModeSymlink != 0:
				th.Typeflag, th.Linkname = tar.TypeSymlink, "elsewhere"
			case e.mode.IsDir():
				th.Typeflag = tar.TypeDir
			}
			if err := w.WriteHeader(th); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(z.Close(), w.Close(), g.Close()); err != nil {
			t.Fatal(err)
		}
		for ending, content := range map[string][]byte{".zip": zipped.Bytes(), ".tar.gz": tarred.Bytes()} {
			file := filepath.Join(t.TempDir(), "p"+ending)
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := readPackage(file); !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("%s in a %s: got %v, want malformed", name, ending, err)
			}
		}
	}
}

func TestChecksumsFindWhatWasChangedRemovedAndAdded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(map[string]packedFile)
		says   string
	}{
		"changed":         {func(f map[string]packedFile) { f["a"] = packedFile{content: []byte("2")} }, "a is not what was packaged"},
		"removed":         {func(f map[string]packedFile) { delete(f, "a") }, "a is listed and missing"},
		"added":           {func(f map[string]packedFile) { f["c"] = packedFile{} }, "c is in no list"},
		"no list":         {func(f map[string]packedFile) { delete(f, sumsName) }, "not found"},
		"a list cut off":  {func(f map[string]packedFile) { f[sumsName] = packedFile{content: f[sumsName].content[:68]} }, "b is in no list"},
		"a list of junk":  {func(f map[string]packedFile) { f[sumsName] = packedFile{content: []byte("junk\n")} }, "malformed"},
		"a name twice":    {func(f map[string]packedFile) { f[sumsName] = packedFile{content: bytes.Repeat(f[sumsName].content, 2)} }, "malformed"},
		"the empty list":  {func(f map[string]packedFile) { f[sumsName] = packedFile{} }, "a is in no list"},
		"another content": {func(f map[string]packedFile) { f["b"], f["a"] = f["a"], f["b"] }, "b is not what was packaged"},
	} {
		p := somePackage(t, map[string]string{"a": "1", "b": "two"})
		test.change(p.files)
		if err := p.verifySums(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %q", name, err, test.says)
		}
	}
}

// Whoever checks a package has it from others.
func FuzzReadPackage(f *testing.F) {
	for _, ending := range []string{".zip", ".tar.gz"} {
		p := somePackage(f, map[string]string{"a.exe": "program", "pages/b.md": "words"})
		p.file = p.name + ending
		archive, err := p.archive()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive, ending == ".zip")
	}
	f.Add([]byte("junk"), true)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, archive []byte, zipped bool) {
		file := filepath.Join(dir, "p.tar.gz")
		if zipped {
			file = filepath.Join(dir, "p.zip")
		}
		if err := os.WriteFile(file, archive, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := readPackage(file)
		if err != nil {
			return
		}
		for name := range p.files {
			if !filepath.IsLocal(name) || !fs.ValidPath(name) {
				t.Errorf("the path %q was let in", name)
			}
		}
		_ = p.verifySums()
	})
}
