package cache

import (
	"crypto/rand"
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
	suffix     = ".spec"
	tempPrefix = ".new-"
	// maxListed bounds what is looked at of a folder in which other things are.
	maxListed = 16 << 10
)

// folder is where the files are. Names are those of references.
type folder struct {
	dir    string
	usable atomic.Bool
	step   func(string) error // for tests: what is about to be done
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
			if strings.HasPrefix(e.Name(), tempPrefix) {
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
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(file, int64(maxFile)+1))
}

// replace writes a file so that at every instant, also after a crash, the old
// content or the new one is there as a whole.
func (f *folder) replace(name string, b []byte) (err error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	temp := filepath.Join(f.dir, tempPrefix+hex.EncodeToString(random[:]))
	if err := f.at("create"); err != nil {
		return err
	}
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		_ = file.Close()
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	half := len(b) / 2
	if _, err := file.Write(b[:half]); err != nil {
		return err
	}
	if err := f.at("write the second half"); err != nil {
		return err
	}
	if _, err := file.Write(b[half:]); err != nil {
		return err
	}
	if err := f.at("sync"); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := f.at("rename"); err != nil {
		return err
	}
	if err := os.Rename(temp, f.path(name)); err != nil {
		return err
	}
	if err := f.at("sync the folder"); err != nil {
		return err
	}
	return syncFolder(f.dir)
}

// remove removes a file, for good if there is a power failure, too.
func (f *folder) remove(name string) error {
	if err := os.Remove(f.path(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return syncFolder(f.dir)
}

func (f *folder) at(step string) error {
	if f.step == nil {
		return nil
	}
	return f.step(step)
}
