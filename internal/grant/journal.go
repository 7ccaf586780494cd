package grant

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// The journal is a text file of lines "CRC JSON\n": the CRC-32C of the JSON in
// eight hexadecimal digits, a blank, and an operation. An addition replaces an
// earlier one of the same container.
const journalName = "grants.journal"

// maxLine bounds a line. A grant's texts are bounded by the runtimes (IDs),
// the reference grammars (8 KiB each) and JSON's escapes.
const maxLine = 128 << 10

// A journal is compacted when it has this many lines more than twice the live
// grants: appending stays cheap, and the file stays within three times of what
// it has to hold.
const slack = 1024

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type journal struct {
	dir    string
	rename func(from, to string) error
	closed bool
	file   *os.File // nil: it could not be opened; the next operation tries again
	lines  int
	torn   bool // the last line may be cut short
	rest   int  // no compaction below this many lines: the last one failed
}

func encodeLine(op operation) ([]byte, error) {
	body, err := op.encode()
	if err != nil {
		return nil, err
	}
	if len(body) > maxLine-16 {
		return nil, fmt.Errorf("%w: an entry of %d bytes (at most %d)", fault.ErrMalformed, len(body), maxLine-16)
	}
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(body, castagnoli))
	line := make([]byte, 0, 8+1+len(body)+1)
	line = hex.AppendEncode(line, sum[:])
	line = append(line, ' ')
	line = append(line, body...)
	return append(line, '\n'), nil
}

func decodeLine(line []byte) (operation, error) {
	var op operation
	if len(line) < 10 || line[8] != ' ' {
		return op, errors.New("no checksum")
	}
	var sum [4]byte
	if _, err := hex.Decode(sum[:], line[:8]); err != nil {
		return op, err
	}
	if crc32.Checksum(line[9:], castagnoli) != binary.BigEndian.Uint32(sum[:]) {
		return op, errors.New("the checksum does not match")
	}
	return op, json.Unmarshal(line[9:], &op)
}

// replay calls apply for every sound line of the journal in dir.
func replay(dir string, apply func(operation) error) (damaged int, err error) {
	f, err := os.Open(filepath.Join(dir, journalName))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("grant: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	r := bufio.NewReaderSize(f, maxLine)
	for {
		line, err := r.ReadSlice('\n')
		whole := err == nil
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if len(line) > 1 { // an empty line ends a torn one
			op, bad := operation{}, errors.New("cut short")
			if whole {
				op, bad = decodeLine(line[:len(line)-1])
			}
			if bad == nil {
				bad = apply(op)
			}
			if bad != nil {
				damaged++
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return damaged, nil
		case err != nil:
			return damaged, fmt.Errorf("grant: %w", err)
		}
	}
}

// compact writes a journal of just ops, which takes the place of old (nil at
// the start) when it is whole. When it fails, old goes on.
func compact(dir string, ops []operation, old *journal) (_ *journal, err error) {
	if old != nil {
		defer func() {
			if err != nil {
				old.rest = old.lines + slack // each attempt writes all grants
			}
		}()
	}
	j, tmp := &journal{dir: dir, rename: os.Rename, lines: len(ops)}, filepath.Join(dir, journalName+".new")
	if old != nil {
		j.rename = old.rename
	}
	if err := writeAll(tmp, ops); err != nil {
		return nil, errors.Join(fmt.Errorf("grant: %w", err), os.Remove(tmp))
	}
	if old != nil {
		// Windows replaces no open file. What close says does not matter:
		// either tmp takes the place of the file, or append opens it again.
		_ = old.release()
	}
	if err := j.rename(tmp, j.path()); err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	if err := j.open(); err != nil && old == nil {
		return nil, fmt.Errorf("grant: %w", err)
	} // else the new journal is in its place, and append tries again
	return j, nil
}

func writeAll(path string, ops []operation) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, op := range ops {
		line, err := encodeLine(op)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		_, _ = w.Write(line) // Flush returns the error
	}
	return errors.Join(w.Flush(), f.Close())
}

func (j *journal) path() string { return filepath.Join(j.dir, journalName) }

func (j *journal) open() (err error) {
	j.file, err = os.OpenFile(j.path(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		j.file = nil
	}
	return err
}

func (j *journal) append(op operation) error {
	if j.closed {
		return errors.New("the journal is closed")
	}
	line, err := encodeLine(op)
	if err != nil {
		return err
	}
	if j.file == nil {
		if err := j.open(); err != nil {
			return err
		}
		j.torn = true // nobody knows what happened to the file meanwhile
	}
	if j.torn {
		line = append([]byte{'\n'}, line...)
	}
	// A full disk may take half a line: the next one must not be glued to it.
	if _, err := j.file.Write(line); err != nil {
		j.torn = true
		return err
	}
	j.torn = false
	j.lines++
	return nil
}

func (j *journal) bloated(live int) bool { return j.lines > max(2*live+slack, j.rest) }

// close ends the journal; an operation after it fails.
func (j *journal) close() error {
	j.closed = true
	return j.release()
}

// release closes the file; the next operation opens it again.
func (j *journal) release() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
