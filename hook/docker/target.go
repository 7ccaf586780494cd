package docker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// target is where documents stand for Docker to read them.
type target interface {
	// path is a document's, for people and for the record.
	path(name string) string
	// read returns what stands there; fs.ErrNotExist if nothing does.
	read(name string) ([]byte, error)
	// write puts a document there as a whole. It calls before when all is ready
	// and the document not there yet.
	write(name string, document []byte, before func() error) error
	remove(name string) error
}

// maxFile bounds what is read of a file: twice the longest credential spec.
const maxFile = 2 << 20

// folder is the CredentialSpecs folder below Docker's root.
type folder string

func folderOf(root string) folder { return folder(filepath.Join(root, "CredentialSpecs")) }

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

func (f folder) read(name string) ([]byte, error) {
	file, err := private.OpenReplaced(f.path(name))
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file: %w", f.path(name), fault.ErrMalformed)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes: %w", f.path(name), maxFile, fault.ErrMalformed)
	}
	return data, err
}

func (f folder) write(name string, document []byte, before func() error) error {
	if err := f.usable(); err != nil {
		return err
	}
	f.sweep()
	return private.Replace(string(f), name, document, private.Replacing{Own: true, Step: func(step string) error {
		if step == "synced" {
			return before()
		}
		return nil
	}})
}

// usable makes the folder if Docker has not, and refuses one that leads elsewhere:
// Docker would follow the link, too, but whoever made it decides where to.
func (f folder) usable() error {
	info, err := os.Lstat(string(f))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(string(f))); err != nil {
			return fmt.Errorf("the root of Docker is not there: %w", err)
		}
		return private.Make(string(f))
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no folder, or a link to one: the agent writes to no other place than the folder itself: %w", string(f), fault.ErrDenied)
	}
	return nil
}

// sweep removes what an agent that was killed has left of a document. Nobody else
// writes files of that name.
func (f folder) sweep() {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), private.TempPrefix) && e.Type().IsRegular() {
			_ = os.Remove(f.path(e.Name()))
		}
	}
}

func (f folder) remove(name string) error { return private.Remove(f.path(name)) }
