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

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// Pointer appends a member's name to a JSON pointer (RFC 6901).
func Pointer(parent, name string) string { return parent + "/" + pointerEscaper.Replace(name) }

// PointerIndex appends an array index to a JSON pointer.
func PointerIndex(parent string, i int) string { return parent + "/" + strconv.Itoa(i) }
