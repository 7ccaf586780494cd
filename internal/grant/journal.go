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
	dir   string
	file  *os.File
	lines int
	torn  bool // the last line is cut short
}

func encodeLine(op operation) ([]byte, error) {
	body, err := op.encode()
	if err != nil {
		return nil, err
	}
	if len(body) > maxLine-16 {
		return nil, fmt.Errorf("an operation of %d bytes does not fit", len(body))
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
func compact(dir string, ops []operation, old *journal) (*journal, error) {
	j, path, tmp := &journal{dir: dir, lines: len(ops)}, filepath.Join(dir, journalName), filepath.Join(dir, journalName+".new")
	if err := writeAll(tmp, ops); err != nil {
		return nil, errors.Join(fmt.Errorf("grant: %w", err), os.Remove(tmp))
	}
	// Windows replaces no open file.
	if old != nil {
		if err := old.close(); err != nil {
			return nil, fmt.Errorf("grant: %w", err)
		}
	}
	renamed := os.Rename(tmp, path)
	err := j.open(path)
	if renamed != nil && old != nil {
		old.file, j.file = j.file, nil
	}
	if err = errors.Join(renamed, err); err != nil {
		return nil, errors.Join(fmt.Errorf("grant: %w", err), j.close())
	}
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

func (j *journal) open(path string) (err error) {
	j.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return err
}

func (j *journal) append(op operation) error {
	if j.file == nil {
		return errors.New("the journal is closed")
	}
	line, err := encodeLine(op)
	if err != nil {
		return err
	}
	if j.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := j.file.Write(line)
	if err != nil {
		// A full disk took half a line: the next one must not be glued to it.
		j.torn = j.torn || n > 0
		return err
	}
	j.torn = false
	j.lines++
	return nil
}

func (j *journal) bloated(live int) bool { return j.lines > 2*live+slack }

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
