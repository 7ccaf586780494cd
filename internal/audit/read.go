package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Parse reads one line of the trail. Unknown fields are allowed: a newer agent
// may have written it.
func Parse(line []byte) (Record, error) {
	if len(line) > MaxLine {
		return Record{}, fmt.Errorf("audit: a record of %d bytes (at most %d): %w", len(line), MaxLine, fault.ErrMalformed)
	}
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, fmt.Errorf("audit: %w: %w", fault.ErrMalformed, err)
	}
	if r.Event == "" {
		return Record{}, fmt.Errorf("audit: a record without an event: %w", fault.ErrMalformed)
	}
	return r, nil
}

// Lines yields the records of r. A line that is no record yields an error and
// reading goes on behind it.
func Lines(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		br := bufio.NewReaderSize(r, MaxLine)
		for {
			line, err := br.ReadSlice('\n')
			tooLong := errors.Is(err, bufio.ErrBufferFull)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = br.ReadSlice('\n')
			}
			switch line = bytes.TrimSpace(line); {
			case tooLong:
				if !yield(Record{}, fmt.Errorf("audit: a line of more than %d bytes: %w", MaxLine, fault.ErrMalformed)) {
					return
				}
			case len(line) > 0:
				if !yield(Parse(line)) {
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(Record{}, fmt.Errorf("audit: %w", err))
				}
				return
			}
		}
	}
}

// Read yields all records of the trail at path, oldest first, old files
// included. A missing trail has no records.
func Read(path string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		numbers, err := rotatedNumbers(path)
		if err != nil && !yield(Record{}, fmt.Errorf("audit: %w", err)) {
			return
		}
		for _, i := range numbers {
			if !readFile(rotated(path, i), yield) {
				return
			}
		}
		readFile(path, yield)
	}
}

func readFile(path string, yield func(Record, error) bool) (more bool) {
	f, err := openShared(path)
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	if err != nil {
		return yield(Record{}, fmt.Errorf("audit: %w", err))
	}
	defer f.Close() //nolint:errcheck // only read
	for r, err := range Lines(f) {
		if !yield(r, err) {
			return false
		}
	}
	return true
}

// followInterval is how often Follow looks for new records: often enough for a
// person who watches, rare enough to cost nothing.
var followInterval = 250 * time.Millisecond

// Follow yields the records that are appended to the trail at path from now
// on, across rotations, until done is closed.
func Follow(done <-chan struct{}, path string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var f *os.File
		var rest []byte
		fromStart := false // a file that appears while we follow is new from its first byte
		defer func() {
			if f != nil {
				_ = f.Close()
			}
		}()
		tick := time.NewTicker(followInterval)
		defer tick.Stop()
		for {
			if f == nil {
				if g, err := openShared(path); err == nil {
					f = g
					if !fromStart {
						_, _ = f.Seek(0, io.SeekEnd)
					}
				}
				fromStart = true
			}
			if f != nil {
				more, err := drain(f, &rest, yield)
				if !more {
					return
				}
				if err != nil || replaced(f, path) {
					if err == nil {
						// What was written between the last read and the rename.
						if more, _ = drain(f, &rest, yield); !more {
							return
						}
					}
					_ = f.Close()
					f, rest = nil, nil
					continue
				}
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}
}

// drain yields the whole lines that f has now; rest keeps the last half line.
func drain(f *os.File, rest *[]byte, yield func(Record, error) bool) (more bool, err error) {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		*rest = append(*rest, buf[:n]...)
		for {
			line, after, ok := bytes.Cut(*rest, []byte{'\n'})
			if !ok {
				break
			}
			*rest = after
			if line = bytes.TrimSpace(line); len(line) > 0 && !yield(Parse(line)) {
				return false, nil
			}
		}
		if len(*rest) > MaxLine {
			*rest = nil
		}
		if errors.Is(err, io.EOF) {
			*rest = bytes.Clone(*rest)
			return true, nil
		}
		if err != nil {
			return true, err
		}
	}
}

// replaced says whether path is another file than f by now.
func replaced(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return true
	}
	b, err := os.Stat(path)
	return err == nil && !os.SameFile(a, b)
}
