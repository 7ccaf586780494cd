package cache

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

const (
	suffix = ".spec"
	// maxListed bounds what is looked at of a folder in which other things are.
	maxListed = 16 << 10
)

// folder is where the files are. Names are those of references.
type folder struct {
	dir    string
	usable atomic.Bool
	step   func(string) error // see private.Replacing
}

// open makes the folder for the agent alone, or makes sure that it is: nobody
// else can put anything into it, or exchange it, from here on.
func (f *folder) open() error {
	err := private.Folder(f.dir)
	f.usable.Store(err == nil)
	return err
}

func (f *folder) close() { f.usable.Store(false) }

func (f *folder) path(name string) string { return filepath.Join(f.dir, name+suffix) }

// found is a file in the folder.
type found struct {
	name     string
	size     int64
	modified time.Time
}

// list lists the documents' files, the oldest first, and removes what a writer
// that was killed has left. Everything else is left alone.
func (f *folder) list() ([]found, error) {
	dir, err := os.Open(f.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close() //nolint:errcheck // only read
	var files []found
	for n := 0; n < maxListed; {
		entries, err := dir.ReadDir(256)
		n += len(entries)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), private.TempPrefix) {
				_ = os.Remove(filepath.Join(f.dir, e.Name()))
				continue
			}
			name, ours := strings.CutSuffix(e.Name(), suffix)
			if _, err := hex.DecodeString(name); !ours || err != nil || len(name) != 64 || strings.ToLower(name) != name {
				continue
			}
			info, err := e.Info()
			switch {
			case err != nil || !info.Mode().IsRegular():
			case info.Size() > int64(maxFile):
				_ = os.Remove(filepath.Join(f.dir, e.Name()))
			default:
				files = append(files, found{name, info.Size(), info.ModTime()})
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(files, func(a, b found) int { return a.modified.Compare(b.modified) })
	return files, nil
}

// load reads a file, which must be one: not a link, nor a pipe that somebody
// would have to write to.
func (f *folder) load(name string) ([]byte, error) {
	if !f.usable.Load() {
		return nil, fs.ErrClosed
	}
	info, err := os.Lstat(f.path(name))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file: %w", f.path(name), fault.ErrMalformed)
	}
	file, err := private.OpenReplaced(f.path(name))
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(file, int64(maxFile)+1))
}

func (f *folder) replace(name string, b []byte) error {
	return private.Replace(f.dir, name+suffix, b, private.Replacing{Step: f.step})
}

// remove removes a file, for good if there is a power failure, too.
func (f *folder) remove(name string) error {
	err := private.Remove(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
