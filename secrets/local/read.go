package local

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// stamp tells one file from the one that replaces it.
type stamp struct {
	modified time.Time
	changed  int64  // nanoseconds; 0 where the platform has no such time
	inode    uint64 // 0 where it costs more than a look at the name
	size     int64
}

// version is the stamp as a text.
func (s stamp) version() string {
	b := strconv.AppendInt(nil, s.modified.UnixNano(), 36)
	for _, n := range []uint64{uint64(s.changed), s.inode, uint64(s.size)} {
		b = append(b, '-')
		b = strconv.AppendUint(b, n, 36)
	}
	return string(b)
}

// readFile reads a secret's file, up to one byte over the bound, and says which
// file it was.
func readFile(path string) ([]byte, stamp, error) {
	f, err := private.OpenReplaced(path)
	if err != nil {
		return nil, stamp{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, stamp{}, at(path, fmt.Errorf("%w: not a regular file", fault.ErrMalformed))
	}
	st, err := statOpen(f)
	if err != nil {
		return nil, stamp{}, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return b, st, err
}
