package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// fileExists says that a file is there that was not to be replaced.
type fileExists struct{ path string }

func (e *fileExists) Error() string { return e.path + " exists already, and was left as it is" }
func (e *fileExists) Unwrap() error { return fs.ErrExist }

// replaceFile puts data in the place of a file. Whoever reads it meanwhile sees
// the old or the new one, never a part; folders that are missing are made. With
// keep, a file that is there already stays, and the error is a *fileExists.
func replaceFile(path string, data []byte, mode fs.FileMode, keep bool) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.Remove(tmp.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if !keep {
		return os.Rename(tmp.Name(), path)
	}
	// A link, unlike a rename, never replaces.
	err = os.Link(tmp.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return &fileExists{path}
	}
	return err
}
