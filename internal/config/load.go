package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// MaxSize bounds the file: a thousand times what a large configuration has.
const MaxSize = 1 << 20

type digest = [sha256.Size]byte

// Load reads the configuration file. An empty path means [DefaultPath], and
// [Default] if no file is there; a path that is given must exist.
//
// What is wrong inside the file is an *[Error]. A file that cannot be read
// wraps fault.ErrNotFound, fault.ErrDenied or fault.ErrUnavailable.
func Load(path string) (*Config, error) {
	name := cmp.Or(path, DefaultPath())
	data, err := read(name)
	if path == "" && errors.Is(err, fault.ErrNotFound) {
		return Default(), nil
	}
	if err != nil {
		return nil, err
	}
	return Parse(name, data)
}

// Parse reads the text of a configuration file; name is for messages. Its
// error is an *[Error].
func Parse(name string, data []byte) (*Config, error) {
	return host.parse(name, data)
}

func (p platform) parse(name string, data []byte) (*Config, error) {
	c := p.plain()
	d := &decoder{}
	d.decode(data, c)
	p.complete(c)
	d.check(c)
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		if more := len(d.problems) - maxProblems; more > 0 {
			d.problems = append(d.problems[:maxProblems], Problem{Message: fmt.Sprintf("and %d more", more)})
		}
		return nil, &Error{name, d.problems}
	}
	c.path, c.digest = name, sha256.Sum256(data)
	if abs, err := filepath.Abs(name); err == nil {
		c.path = abs // for whoever reads it without knowing our folder
	}
	return c, nil
}

func read(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, readError(name, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, fmt.Errorf("configuration %s: %w: not a file", name, fault.ErrMalformed)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, readError(name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, readError(name, err)
	}
	if len(data) > MaxSize {
		return nil, &Error{name, []Problem{{Message: fmt.Sprintf("larger than %d bytes: this is no configuration", MaxSize)}}}
	}
	return data, nil
}

// readError keeps the system's words and adds our kind.
func readError(name string, err error) error {
	kind := fault.ErrUnavailable
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = fault.ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		kind = fault.ErrDenied
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // the name is in our text already
	}
	return fmt.Errorf("configuration %s: %w: %w", name, kind, err)
}
