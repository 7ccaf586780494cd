package service

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// maxProgram bounds a file of a version: ten times the largest.
const maxProgram = 1 << 30

// digestOf reads a file through one handle. A file that is not there has the
// empty digest.
func digestOf(path string) (string, error) {
	f, err := private.OpenReplaced(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	return digest(f)
}

func digest(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%w: %s is not a file", fault.ErrMalformed, f.Name())
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxProgram+1))
	if err != nil {
		return "", err
	}
	if n > maxProgram {
		return "", fmt.Errorf("%w: %s has more than %d bytes", fault.ErrMalformed, f.Name(), maxProgram)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// place puts a copy of from at to, which has the digest then. What is at to is
// replaced, also while it runs. It returns the name that the replaced file has
// if it could not be removed.
func place(from, to, want string) (leftover string, err error) {
	temp, err := copyBeside(from, to, want)
	if err != nil {
		return "", err
	}
	leftover, err = exchange(temp, to)
	if err != nil {
		return leftover, errors.Join(err, os.Remove(temp))
	}
	return leftover, nil
}

// copyBeside makes a copy of from in to's folder. It is read through one handle,
// written through one, and read again: what lies there is what was wanted.
func copyBeside(from, to, want string) (temp string, err error) {
	src, err := private.OpenReplaced(from)
	if err != nil {
		return "", err
	}
	defer src.Close() //nolint:errcheck // only read
	temp = filepath.Join(filepath.Dir(to), private.TempPrefix+random())
	dst, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, dst.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	if _, err := io.Copy(dst, io.LimitReader(src, maxProgram+1)); err != nil {
		return "", err
	}
	if err := dst.Sync(); err != nil {
		return "", err
	}
	if _, err := dst.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	got, err := digest(dst)
	if err != nil {
		return "", err
	}
	if got != want {
		return "", fmt.Errorf("%w: %s has the SHA-256 %s, not %s", fault.ErrMalformed, from, got, want)
	}
	return temp, nil
}

// exchange puts temp in the place of to. Windows lets nobody replace a program
// that runs, but its name can be taken from it: then it is renamed aside, and
// back if the new one cannot take its place.
func exchange(temp, to string) (leftover string, err error) {
	replaced := os.Rename(temp, to)
	if replaced == nil || runtime.GOOS != "windows" {
		return "", replaced
	}
	aside := to + asideSuffix + random()
	if err := os.Rename(to, aside); err != nil {
		return "", errors.Join(replaced, err)
	}
	if err := os.Rename(temp, to); err != nil {
		return "", errors.Join(err, os.Rename(aside, to))
	}
	if os.Remove(aside) != nil {
		return aside, nil
	}
	return "", nil
}

// asideSuffix stands between the name of a program that was replaced while it
// ran and what makes it unique.
const asideSuffix = ".old-"

func random() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// removeTree removes a folder or a file and returns what is in use: Windows
// removes no program that runs and no DLL that is loaded. Links are removed and
// not followed. What is not there is no error.
func removeTree(path string) (inUse []string, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			more, err := removeTree(filepath.Join(path, e.Name()))
			if err != nil {
				return nil, err
			}
			inUse = append(inUse, more...)
		}
		if len(inUse) > 0 {
			return append(inUse, path), nil
		}
	}
	err = os.Remove(path)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case busy(err):
		return []string{path}, nil
	}
	return nil, err
}

// missing are the folders on the way to dir that are not there, outermost first.
func missing(dir string) ([]string, error) {
	var dirs []string
	for {
		_, err := os.Lstat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		dirs = append([]string{dir}, dirs...)
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return dirs, nil
}

// removeEmpty removes the folders that have nothing in them, innermost first.
func removeEmpty(dirs []string) error {
	for i := len(dirs) - 1; i >= 0; i-- {
		entries, err := os.ReadDir(dirs[i])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			continue
		}
		if err := os.Remove(dirs[i]); err != nil && !errors.Is(err, fs.ErrNotExist) && !busy(err) {
			return err
		}
	}
	return nil
}
