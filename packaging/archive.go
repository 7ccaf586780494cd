package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

type buildSetting = debug.BuildSetting

// packed is the content of a package: files by their slash-separated paths.
type packed struct {
	files map[string]packedFile
	time  time.Time // every file's
}

type packedFile struct {
	content    []byte
	executable bool
}

// namedPackage is a package on its way to a file.
type namedPackage struct {
	packed
	name string // also of the one folder in the archive
	file string
}

// assemble puts a target's package together.
func assemble(ctx context.Context, s *source, t target, version string, programs []built, tc toolchain) (namedPackage, error) {
	p := namedPackage{
		packed: packed{files: make(map[string]packedFile), time: s.time},
		name:   fmt.Sprintf("gmsa-agent-%s-%s-%s", version, t.goos, goarch),
	}
	p.file = p.name + t.archive
	for to, from := range t.from(s.tracked) {
		content, err := os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(from)))
		if err != nil {
			return p, err
		}
		if strings.HasSuffix(to, ".ps1") {
			content = bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))
		}
		p.files[to] = packedFile{content: content}
	}
	for _, b := range programs {
		p.files[b.file] = packedFile{content: b.content, executable: true}
	}
	modules, err := linkedModules(ctx, s, t, programs)
	if err != nil {
		return p, err
	}
	notices, err := notices(ctx, modules, t)
	if err != nil {
		return p, err
	}
	p.files[noticesName] = packedFile{content: notices}
	sbom, err := sbom(s, t, version, programs, modules, tc)
	if err != nil {
		return p, err
	}
	p.files[sbomName] = packedFile{content: sbom}
	p.sum()
	return p, nil
}

// sum makes the list of checksums anew.
func (p *packed) sum() {
	delete(p.files, sumsName)
	contents := make(map[string][]byte)
	for name, f := range p.files {
		contents[name] = f.content
	}
	p.files[sumsName] = packedFile{content: sumsOf(contents)}
}

// archive is the package as one file, the same for the same content: sorted,
// with the commit's time and with nobody's name.
func (p namedPackage) archive() ([]byte, error) {
	var out bytes.Buffer
	write := p.tar
	if strings.HasSuffix(p.file, ".zip") {
		write = p.zip
	}
	if err := write(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (p namedPackage) zip(out io.Writer) error {
	w := zip.NewWriter(out)
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		f := p.files[name]
		header := &zip.FileHeader{Name: path.Join(p.name, name), Method: zip.Deflate, Modified: p.time}
		header.SetMode(f.mode())
		entry, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.content); err != nil {
			return err
		}
	}
	return w.Close()
}

func (p namedPackage) tar(out io.Writer) error {
	compressed := gzip.NewWriter(out)
	w := tar.NewWriter(compressed)
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		f := p.files[name]
		header := &tar.Header{
			Name: path.Join(p.name, name), Mode: int64(f.mode()), Size: int64(len(f.content)),
			ModTime: p.time, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(f.content); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), compressed.Close())
}

func (f packedFile) mode() fs.FileMode {
	if f.executable {
		return 0o755
	}
	return 0o644
}

// A package that is larger than these is none of ours.
const (
	maxFiles = 5000
	maxSize  = 1 << 30
)

// readPackage reads a package for Windows or Linux and takes off the folder
// that all its files are in.
func readPackage(file string) (*namedPackage, error) {
	p := &namedPackage{packed: packed{files: make(map[string]packedFile)}, file: filepath.Base(file)}
	var err error
	switch {
	case strings.HasSuffix(file, ".zip"):
		p.name = strings.TrimSuffix(p.file, ".zip")
		err = p.readZip(file)
	case strings.HasSuffix(file, ".tar.gz"):
		p.name = strings.TrimSuffix(p.file, ".tar.gz")
		err = p.readTar(file)
	default:
		err = fmt.Errorf("%w: a package is a .zip or a .tar.gz", fault.ErrMalformed)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *namedPackage) readZip(file string) error {
	r, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer r.Close()
	left := int64(maxSize)
	for _, f := range r.File {
		entry, err := f.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		err = p.take(f.Name, f.Mode(), f.Modified, entry, &left)
		if err := errors.Join(err, entry.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (p *namedPackage) readTar(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	uncompressed, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	r := tar.NewReader(uncompressed)
	for left := int64(maxSize); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.take(header.Name, header.FileInfo().Mode(), header.ModTime, r, &left); err != nil {
			return err
		}
	}
}

// take keeps one file of an archive, in memory: no name in it is ever a path.
func (p *namedPackage) take(name string, mode fs.FileMode, at time.Time, r io.Reader, left *int64) error {
	bad := func(why string) error { return fmt.Errorf("%q: %w: %s", name, fault.ErrMalformed, why) }
	folder, rest, below := strings.Cut(name, "/")
	if !below || !fs.ValidPath(name) || strings.ContainsAny(name, `\:`) {
		return bad("no path of a package")
	}
	if !mode.IsRegular() {
		return bad("no regular file")
	}
	// Renaming an archive, or signing what is in it, keeps its folder's name.
	if len(p.files) == 0 {
		p.name, p.time = folder, at.UTC()
	}
	if folder != p.name {
		return bad("it is outside of the folder " + p.name)
	}
	if _, twice := p.files[rest]; twice {
		return bad("it is there twice")
	}
	if len(p.files) == maxFiles {
		return bad("there are too many files")
	}
	content, err := io.ReadAll(io.LimitReader(r, *left+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if *left -= int64(len(content)); *left < 0 {
		return bad("it is too large")
	}
	p.files[rest] = packedFile{content: content, executable: mode&0o111 != 0}
	return nil
}
