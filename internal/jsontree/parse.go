package jsontree

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bound what a document may cost. A limit of zero means none of it.
type Limits struct {
	Size   int // bytes of the document
	Depth  int // arrays and objects within each other
	Values int // values in all
	Name   int // bytes of a member's decoded name
}

// SyntaxError says where a document stops being JSON, or being within the limits.
type SyntaxError struct {
	Offset  int // in bytes
	Message string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("offset %d: %s", e.Offset, e.Message) }

var byteOrderMark = []byte("\xef\xbb\xbf")

// HasBOM reports whether the document starts with UTF-8's byte order mark.
func HasBOM(doc []byte) bool { return bytes.HasPrefix(doc, byteOrderMark) }

// Parse reads a whole document: one value, with white space around it and with
// at most one byte order mark before it. Every error is a [*SyntaxError].
func Parse(doc []byte, lim Limits) (*Value, error) {
	if len(doc) > lim.Size {
		return nil, &SyntaxError{lim.Size, fmt.Sprintf("the document is longer than %d bytes", lim.Size)}
	}
	p := parser{doc: doc, lim: lim}
	if HasBOM(doc) {
		p.pos = len(byteOrderMark)
	}
	p.space()
	var v Value
	if err := p.value(&v, lim.Depth); err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(doc) {
		return nil, p.unexpected("after the end of the document")
	}
	return &v, nil
}

type parser struct {
	doc    []byte
	pos    int
	values int
	lim    Limits
}

func (p *parser) errorf(at int, format string, args ...any) error {
	return &SyntaxError{at, fmt.Sprintf(format, args...)}
}

// unexpected names what stands at the current position.
func (p *parser) unexpected(where string) error {
	if p.pos >= len(p.doc) {
		return p.errorf(p.pos, "the document ends %s", where)
	}
	r, n := utf8.DecodeRune(p.doc[p.pos:])
	if r == utf8.RuneError && n == 1 {
		return p.errorf(p.pos, "byte 0x%02x %s is not UTF-8", p.doc[p.pos], where)
	}
	return p.errorf(p.pos, "unexpected %q %s", r, where)
}

func (p *parser) space() {
	for p.pos < len(p.doc) {
		switch p.doc[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.pos < len(p.doc) {
		return p.doc[p.pos]
	}
	return 0 // no token starts with it
}

func (p *parser) value(v *Value, depth int) error {
	if p.values++; p.values > p.lim.Values {
		return p.errorf(p.pos, "the document has more than %d values", p.lim.Values)
	}
	v.Start = p.pos
	var err error
	switch c := p.peek(); {
	case c == '{' || c == '[':
		if depth == 0 {
			return p.errorf(p.pos, "arrays and objects within each other deeper than %d", p.lim.Depth)
		}
		if c == '{' {
			v.Kind, err = Object, p.object(v, depth-1)
		} else {
			v.Kind, err = Array, p.array(v, depth-1)
		}
	case c == '"':
		v.Kind = String
		v.Text, err = p.text()
	case c == '-' || '0' <= c && c <= '9':
		v.Kind, err = Number, p.number()
	case c == 't':
		v.Kind, err = Bool, p.word("true")
	case c == 'f':
		v.Kind, err = Bool, p.word("false")
	case c == 'n':
		v.Kind, err = Null, p.word("null")
	default:
		err = p.unexpected("where a value should start")
	}
	v.End = p.pos
	return err
}

func (p *parser) word(w string) error {
	if !bytes.HasPrefix(p.doc[p.pos:], []byte(w)) {
		return p.unexpected("where a value should start")
	}
	p.pos += len(w)
	return nil
}

func (p *parser) object(v *Value, depth int) error {
	p.pos++ // {
	p.space()
	if p.peek() == '}' {
		p.pos++
		return nil
	}
	for {
		if p.peek() != '"' {
			return p.unexpected("where a member's name should start")
		}
		v.Members = append(v.Members, Member{Start: p.pos})
		m := &v.Members[len(v.Members)-1]
		var err error
		if m.Name, err = p.text(); err != nil {
			return err
		}
		if m.End = p.pos; len(m.Name) > p.lim.Name {
			return p.errorf(m.Start, "a member's name is longer than %d bytes", p.lim.Name)
		}
		p.space()
		if p.peek() != ':' {
			return p.unexpected("after a member's name, where a colon should be")
		}
		p.pos++
		p.space()
		if err := p.value(&m.Value, depth); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
			p.space()
		case '}':
			p.pos++
			return nil
		default:
			return p.unexpected("after a member, where a comma or } should be")
		}
	}
}

func (p *parser) array(v *Value, depth int) error {
	p.pos++ // [
	p.space()
	if p.peek() == ']' {
		p.pos++
		return nil
	}
	for {
		v.Elements = append(v.Elements, Value{})
		if err := p.value(&v.Elements[len(v.Elements)-1], depth); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
			p.space()
		case ']':
			p.pos++
			return nil
		default:
			return p.unexpected("after an element, where a comma or ] should be")
		}
	}
}

func (p *parser) digits() (n int) {
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.pos++
		n++
	}
	return n
}

func (p *parser) number() error {
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if p.digits() == 0 {
		return p.unexpected("in a number")
	}
	if p.peek() == '.' {
		p.pos++
		if p.digits() == 0 {
			return p.unexpected("in a number, after the point")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if p.digits() == 0 {
			return p.unexpected("in a number's exponent")
		}
	}
	return nil
}

// text reads a string, quotes included, and decodes it.
func (p *parser) text() (string, error) {
	start := p.pos
	p.pos++ // "
	begin := p.pos
	for p.pos < len(p.doc) { // the common case: nothing to decode
		switch c := p.doc[p.pos]; {
		case c == '"':
			s := string(p.doc[begin:p.pos])
			p.pos++
			return s, nil
		case c == '\\' || c < 0x20 || c >= utf8.RuneSelf:
			return p.decode(start, begin)
		}
		p.pos++
	}
	return "", p.errorf(start, "a string does not end")
}

// decode reads the rest of a string of which doc[begin:pos] is plain.
func (p *parser) decode(start, begin int) (string, error) {
	out := bytes.Clone(p.doc[begin:p.pos])
	for p.pos < len(p.doc) {
		c := p.doc[p.pos]
		switch {
		case c == '"':
			p.pos++
			return string(out), nil
		case c < 0x20:
			return "", p.errorf(p.pos, "control character 0x%02x in a string", c)
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		case c < utf8.RuneSelf:
			out = append(out, c)
			p.pos++
		default:
			r, n := utf8.DecodeRune(p.doc[p.pos:])
			if r == utf8.RuneError && n == 1 {
				return "", p.errorf(p.pos, "byte 0x%02x in a string is not UTF-8", c)
			}
			out = append(out, p.doc[p.pos:p.pos+n]...)
			p.pos += n
		}
	}
	return "", p.errorf(start, "a string does not end")
}

func (p *parser) escape() (rune, error) {
	at := p.pos
	p.pos++ // the backslash
	c := p.peek()
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		p.pos++
		return p.codePoint(at)
	default:
		return 0, p.errorf(at, "a backslash that starts no escape")
	}
	p.pos++
	return rune(c), nil
}

// codePoint reads what follows \u, and a surrogate's other half with it.
func (p *parser) codePoint(at int) (rune, error) {
	r, ok := p.hex4()
	if !ok {
		return 0, p.errorf(at, "\\u without four hexadecimal digits")
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if bytes.HasPrefix(p.doc[p.pos:], []byte(`\u`)) {
		p.pos += 2
		if low, ok := p.hex4(); ok {
			if r := utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, nil
			}
		}
	}
	return 0, p.errorf(at, "an unpaired surrogate escape")
}

func (p *parser) hex4() (rune, bool) {
	if len(p.doc)-p.pos < 4 {
		return 0, false
	}
	var r rune
	for _, c := range p.doc[p.pos : p.pos+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.pos += 4
	return r, true
}
