package secrets

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSONContent reads the JSON form. encoding/json would leave the password
// behind in strings that nobody can overwrite, and put U+FFFD in the place of
// half a surrogate pair; so it only checks the syntax here.
func parseJSONContent(b []byte) (*Credential, error) {
	if !json.Valid(b) {
		return nil, malformed("secret content: begins like JSON but is not valid JSON")
	}
	var f fields
	var copies [][]byte
	defer func() {
		for _, c := range copies {
			clear(c)
		}
	}()
	err := eachMember(b, func(rawKey, rawValue []byte) error {
		key, err := unquote(rawKey)
		if err != nil {
			return malformed("secret content: a key is not valid Unicode")
		}
		name := string(key)
		if f.place(name) == nil || string(rawValue) == "null" {
			return nil
		}
		if rawValue[0] != '"' {
			return malformed("secret content: the value of %q is not a text", name)
		}
		value, err := unquote(rawValue)
		if err != nil {
			return malformed("secret content: the value of %q is not valid Unicode (half a surrogate pair)", name)
		}
		copies = append(copies, value)
		return f.set(name, value)
	})
	if err != nil {
		return nil, err
	}
	return f.credential()
}

// ParseJSON reads content that stands in a JSON document, such as one value of a
// store's answer: an object is the JSON form of [ParseContent], a text is
// content in any form.
//
// The credential has bytes of its own; the caller still owns b and wipes it. An
// error wraps fault.ErrMalformed and quotes nothing of b.
func ParseJSON(b []byte) (*Credential, error) {
	b = bytes.TrimSpace(b)
	if len(b) > maxJSONContent {
		return nil, malformed("secret content: longer than %d bytes", MaxContent)
	}
	if !json.Valid(b) {
		return nil, malformed("secret content: not valid JSON")
	}
	switch b[0] {
	case '{':
		return parseJSONContent(b)
	case '"':
		content, err := unquote(b)
		if err != nil {
			return nil, malformed("secret content: not valid Unicode (half a surrogate pair)")
		}
		defer clear(content)
		return ParseContent(content)
	}
	return nil, malformed("secret content: neither an object nor a text")
}

// maxJSONContent: a character of one byte may be written with six, as \u0022.
const maxJSONContent = 6*MaxContent + 2

// eachMember calls do with the raw key and value of each member of the object
// b, which must be valid JSON.
func eachMember(b []byte, do func(key, value []byte) error) error {
	b = skipSpace(b[1:]) // past "{"
	for b[0] != '}' {
		key := b[:valueLen(b)]
		b = skipSpace(b[len(key):])
		b = skipSpace(b[1:]) // past ":"
		value := b[:valueLen(b)]
		b = skipSpace(b[len(value):])
		if err := do(key, value); err != nil {
			return err
		}
		if b[0] == ',' {
			b = skipSpace(b[1:])
		}
	}
	return nil
}

func skipSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// valueLen is the length of the JSON value that b begins with.
func valueLen(b []byte) int {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
			if !inString && depth == 0 {
				return i + 1
			}
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i // ends a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			return i
		}
	}
	return len(b)
}

// unquote returns the text of a JSON string in a buffer of its own. b must be
// valid JSON; an escape that is half a surrogate pair is an error.
func unquote(b []byte) ([]byte, error) {
	b = b[1 : len(b)-1]
	out := make([]byte, 0, len(b)) // no escape is shorter than what it stands for: out never grows
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++
		switch b[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hexRune(b[i+1 : i+5])
			i += 4
			if utf16.IsSurrogate(r) {
				if len(b) < i+7 || b[i+1] != '\\' || b[i+2] != 'u' {
					clear(out)
					return nil, malformed("half a surrogate pair")
				}
				r = utf16.DecodeRune(r, hexRune(b[i+3:i+7]))
				if r == utf8.RuneError {
					clear(out)
					return nil, malformed("half a surrogate pair")
				}
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default: // ", \ and /
			out = append(out, b[i])
		}
	}
	return out, nil
}

// hexRune reads four hexadecimal digits. strconv would make a string of them.
func hexRune(b []byte) (r rune) {
	for _, c := range b {
		switch r <<= 4; {
		case c <= '9':
			r |= rune(c - '0')
		default:
			r |= rune(c|0x20-'a') + 10
		}
	}
	return r
}
