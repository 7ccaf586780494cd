// Package file resolves references to credential specs in folders of this host
// (file://webapp01.json).
//
// The folders are the administrator's choice, the reference is whoever's who
// may start a container. So a reference never leaves the folders, neither by
// its path nor by a symbolic link, and only regular files are opened: a pipe
// or a device in a folder holds nobody up.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Scheme is the scheme of these references.
const Scheme = "file"

// Source looks in folders, in their order. The first that has the name
// answers: what is wrong with it is an error, and not a reason to look on.
type Source struct {
	folders []string
}

// New returns a source over folders, which need not exist (yet). A folder that
// is not an absolute path is fault.ErrMalformed: what it means would change
// with the agent's working directory.
func New(folders ...string) (*Source, error) {
	s := &Source{}
	for _, f := range folders {
		if !filepath.IsAbs(f) {
			return nil, fmt.Errorf("credential spec folder %q is not an absolute path: %w", f, fault.ErrMalformed)
		}
		s.folders = append(s.folders, filepath.Clean(f))
	}
	return s, nil
}

// Resolve reads the file that ref names.
func (s *Source) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	if len(s.folders) == 0 {
		return credspec.Document{}, fmt.Errorf("no credential spec folder is configured: %w", fault.ErrNotFound)
	}
	name := filepath.FromSlash(ref.Rest)
	for _, folder := range s.folders {
		if err := ctx.Err(); err != nil {
			return credspec.Document{}, err
		}
		data, err := read(folder, name)
		if err == nil {
			return credspec.Document{Data: data, Ref: ref, Origin: filepath.Join(folder, name)}, nil
		}
		if !missing(err) {
			return credspec.Document{}, fmt.Errorf("%s in folder %s: %w", name, folder, explain(err))
		}
	}
	return credspec.Document{}, fmt.Errorf("no %s in %s: %w", name, s.list(), fault.ErrNotFound)
}

func (s *Source) list() string {
	if len(s.folders) == 1 {
		return "folder " + s.folders[0]
	}
	return "folders " + strings.Join(s.folders, ", ")
}

// read reads one file below folder.
func read(folder, name string) ([]byte, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Looked at before it is opened, since opening a device can already do
	// something; and again afterwards, since it may be another one by then.
	// openFlags keeps a pipe that slips in from holding up the open.
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, credspec.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > credspec.MaxSize {
		return nil, errTooLong
	}
	return data, nil
}

var (
	errNotRegular = fmt.Errorf("it is not a regular file: %w", fault.ErrMalformed)
	errTooLong    = fmt.Errorf("it is longer than %d bytes: %w", credspec.MaxSize, fault.ErrMalformed)
)

func regular(info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return errNotRegular
	case info.Size() > credspec.MaxSize:
		return errTooLong
	}
	return nil
}

// missing reports whether an error says that this folder has no such name.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// explain gives a file system's error its kind.
func explain(err error) error {
	if errors.Is(err, fault.ErrMalformed) {
		return err
	}
	// The path that the error repeats is said already.
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	var code syscall.Errno
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", err, fault.ErrDenied)
	case !errors.As(err, &code):
		// Not the system's error but package os's own: the path, or a link on
		// it, leads out of the folder.
		return fmt.Errorf("%w: %w", err, fault.ErrDenied)
	case malformedName(code):
		return fmt.Errorf("%w: %w", err, fault.ErrMalformed)
	}
	return fmt.Errorf("%w: %w", err, fault.ErrUnavailable)
}
