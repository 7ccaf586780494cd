package jsontree

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Place turns an offset into the line and column that an editor shows: both
// count from 1, columns count characters, and a byte order mark is none.
// An offset outside the document means its nearest end.
func Place(doc []byte, offset int) (line, column int) {
	before := doc[:max(0, min(offset, len(doc)))]
	before = bytes.TrimPrefix(before, byteOrderMark)
	line = 1 + bytes.Count(before, []byte("\n"))
	before = before[1+bytes.LastIndexByte(before, '\n'):]
	return line, 1 + utf8.RuneCount(before)
}

var (
	pointerEscaper   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescaper = strings.NewReplacer("~1", "/", "~0", "~")
)

// Pointer appends a member's name to a JSON pointer (RFC 6901).
func Pointer(parent, name string) string { return parent + "/" + pointerEscaper.Replace(name) }

// PointerIndex appends an array index to a JSON pointer.
func PointerIndex(parent string, i int) string { return parent + "/" + strconv.Itoa(i) }

// Step returns the name of the member, or the index of the element, of the value
// that parent points to in which the pointer goes on, if it does.
func Step(parent, pointer string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(pointer, parent+"/")
	if !ok {
		return "", false
	}
	name, _, _ = strings.Cut(rest, "/")
	return pointerUnescaper.Replace(name), true
}

// Child returns the name of the member that a JSON pointer points to, if that
// is a member of the value that parent points to.
func Child(parent, pointer string) (name string, ok bool) {
	name, ok = strings.CutPrefix(pointer, parent+"/")
	if !ok || strings.Contains(name, "/") {
		return "", false
	}
	return pointerUnescaper.Replace(name), true
}
