package private

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// TempPrefix begins the name of every file that a Replace has not finished.
// Whoever keeps other writers out may remove what is left of one.
const TempPrefix = ".tmp-"

// Replacing says how a file is replaced; the zero value does it plainly.
type Replacing struct {
	Modified time.Time // the new file's time; zero: when it is written
	// Own gives the file an access list of its own from its first instant: for
	// SYSTEM and administrators, or the user of this process. Of use where the
	// folder is not the agent's.
	Own bool
	// Step is called after each step of the way: "created", "half written",
	// "written", "synced", "renamed", "done". Tests stop there, or return the
	// error that a disk would have. Nil: nobody wants to know.
	Step func(name string) error
}

// Replace writes the file name in the folder dir so that at every instant, also
// after a crash, the old content or the new one is there as a whole. Where the
// folder is the agent's, so is the file.
func Replace(dir, name string, data []byte, r Replacing) (err error) {
	step := r.Step
	if step == nil {
		step = func(string) error { return nil }
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	temp := filepath.Join(dir, TempPrefix+hex.EncodeToString(random[:]))
	open := func(path string) (*os.File, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if r.Own {
		open = createOwn
	}
	f, err := open(temp)
	if err != nil {
		return err
	}
	renamed := false
	defer func() {
		_ = f.Close()
		if err != nil && !renamed {
			_ = os.Remove(temp)
		}
	}()
	half := len(data) / 2
	for _, part := range []struct {
		step string
		do   func() error
	}{
		{"created", func() error { return nil }},
		{"half written", func() error { _, err := f.Write(data[:half]); return err }},
		{"written", func() error { _, err := f.Write(data[half:]); return err }},
		{"synced", func() error {
			if !r.Modified.IsZero() {
				if err := os.Chtimes(temp, r.Modified, r.Modified); err != nil {
					return err
				}
			}
			if err := f.Sync(); err != nil {
				return err
			}
			return f.Close()
		}},
		{"renamed", func() error {
			err := rename(temp, filepath.Join(dir, name))
			renamed = err == nil
			return err
		}},
		{"done", func() error {
			if err := syncFolder(dir); err != nil {
				return fmt.Errorf("%s was replaced, but may be the old one after a power failure: %w", name, err)
			}
			return nil
		}},
	} {
		if err := part.do(); err != nil {
			return err
		}
		if err := step(part.step); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes a file, for good if there is a power failure, too.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// OpenReplaced opens a file for reading that a Replace may replace meanwhile. It
// follows no link and waits for no pipe's writer that somebody put there.
func OpenReplaced(path string) (*os.File, error) { return openReplaced(path) }
