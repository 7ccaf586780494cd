package private

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// File refuses a file that others could change: by writing to it, by replacing
// it in its folder, or by exchanging a folder or a link on the way to it. The
// error wraps [fault.ErrDenied] and names what is open to whom. Reading is not
// its concern.
//
// The answer holds for later, too: what nobody else can change now, nobody else
// can open up.
func File(path string) error {
	steps, err := way(path)
	if err != nil {
		return err
	}
	last := len(steps) - 1
	if !steps[last].info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a file", fault.ErrMalformed, path)
	}
	for i, s := range steps {
		if i == last-1 {
			err = checkHolder(s.path)
		} else {
			err = s.check()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkWay refuses a folder that others could exchange for another one.
func checkWay(dir string) error {
	steps, err := way(dir)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

// step is a folder, a link or a file on the way from the root of a volume.
type step struct {
	path string
	info fs.FileInfo
	link bool
}

func (s step) check() error {
	switch {
	case s.link:
		return checkLink(s.path)
	case s.info.IsDir():
		return checkAncestor(s.path)
	}
	return checkFile(s.path)
}

// maxLinks bounds the links on a way, as Linux does (path_resolution(7)).
const maxLinks = 40

// way lists what the operating system passes on its way to path, in its order:
// folders, links, what the links lead to, and path's own file or folder.
func way(path string) ([]step, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	var steps []step
	links := 0
	at, rest := root(path)
	for {
		info, err := os.Lstat(at)
		if err != nil {
			return nil, err
		}
		s := step{path: at, info: info, link: isLink(info)}
		steps = append(steps, s)
		if s.link {
			if links++; links > maxLinks {
				return nil, fmt.Errorf("%w: more than %d links on the way to %s", fault.ErrMalformed, maxLinks, path)
			}
			target, err := os.Readlink(at)
			if err != nil {
				return nil, err
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(at), target)
			}
			var more []string
			at, more = root(target)
			rest = append(more, rest...)
			continue
		}
		if len(rest) == 0 {
			return steps, nil
		}
		at, rest = filepath.Join(at, rest[0]), rest[1:]
	}
}

// root splits an absolute path into its volume's root and the names below it.
func root(path string) (string, []string) {
	path = filepath.Clean(path)
	top := filepath.VolumeName(path) + string(filepath.Separator)
	below := strings.TrimPrefix(path, top)
	if below == "" || below == path {
		return top, nil
	}
	return top, strings.Split(below, string(filepath.Separator))
}

// Secret refuses what [File] refuses, and a file that others could read.
func Secret(path string) error {
	if err := File(path); err != nil {
		return err
	}
	return checkReaders(path)
}
