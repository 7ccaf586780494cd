package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The trail's files are path, which is written, and path.1 to path.keep, which
// are full; path.1 is the youngest of them. While a rotation is under way there
// is also path.0, which was full last and has no number of its own yet. It
// stays behind when the agent is killed, or when Windows does not let an old
// file be renamed because another program has it open.

// rotated is the name of a full file.
func rotated(path string, i int) string { return fmt.Sprintf("%s.%d", path, i) }

// maxNumber tells our numbers from the dates that other programs append.
const maxNumber = 9999

// rotatedNumbers are the numbers of the full files that are there, oldest file
// first. There may be gaps.
func rotatedNumbers(path string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var numbers []int
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		if i, err := strconv.Atoi(suffix); ok && err == nil && i >= 0 && i <= maxNumber && strconv.Itoa(i) == suffix {
			numbers = append(numbers, i)
		}
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	return numbers, err
}

// setAside gives the current file, which is closed, up for a new one. Nothing
// old is touched before that has worked.
func (l *Log) setAside() error {
	if err := l.shift(); err != nil { // a rotation that was not finished
		return err
	}
	if err := l.rename(l.path, rotated(l.path, 0)); err != nil {
		return err
	}
	_ = l.shift() // path.0 can wait: the next rotation shifts it first
	return nil
}

// shift gives path.0 its number, if there is one, and removes the oldest file.
// It moves only the files up to the first gap, so that repeating what failed
// half way loses nothing.
func (l *Log) shift() error {
	numbers, err := rotatedNumbers(l.path)
	if err != nil || !slices.Contains(numbers, 0) {
		return err
	}
	gap := 1
	for gap < l.keep && slices.Contains(numbers, gap) {
		gap++
	}
	if gap == l.keep && slices.Contains(numbers, l.keep) {
		if err := os.Remove(rotated(l.path, l.keep)); err != nil {
			return err
		}
	}
	for i := gap - 1; i >= 0; i-- {
		if err := l.rename(rotated(l.path, i), rotated(l.path, i+1)); err != nil {
			return err
		}
	}
	return nil
}
