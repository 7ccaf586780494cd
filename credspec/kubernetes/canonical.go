package kubernetes

import (
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// canonical appends a value in the form of RFC 8785, the JSON canonicalization
// scheme: no white space, members sorted by the UTF-16 of their names, and of
// all spellings of a string the one with the fewest escapes.
//
// Numbers keep the API server's spelling, which is one, instead of JavaScript's:
// a credential spec has none, and none must lose a digit. A member that stands
// there twice is fault.ErrMalformed, since one would get lost.
func canonical(out, json []byte, v *jsontree.Value) ([]byte, error) {
	var err error
	switch v.Kind {
	case jsontree.Object:
		out = append(out, '{')
		members := slices.Clone(v.Members)
		slices.SortFunc(members, func(a, b jsontree.Member) int { return byUTF16(a.Name, b.Name) })
		for i := range members {
			m := &members[i]
			if i > 0 {
				if m.Name == members[i-1].Name {
					return nil, fmt.Errorf("a member of its credspec stands there twice: %w", fault.ErrMalformed)
				}
				out = append(out, ',')
			}
			out = append(quote(out, m.Name), ':')
			if out, err = canonical(out, json, &m.Value); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	case jsontree.Array:
		out = append(out, '[')
		for i := range v.Elements {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = canonical(out, json, &v.Elements[i]); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case jsontree.String:
		return quote(out, v.Text), nil
	}
	return append(out, json[v.Start:v.End]...), nil
}

// byUTF16 compares as JavaScript does, where a character beyond U+FFFF comes
// before one from U+E000 on.
func byUTF16(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

// short are the escapes of one letter; other control characters are \u00xx.
var short = map[rune]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r', '"': '"', '\\': '\\'}

func quote(out []byte, s string) []byte {
	out = append(out, '"')
	for _, r := range s {
		letter := short[r]
		switch {
		case letter != 0:
			out = append(out, '\\', letter)
		case r < ' ':
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return append(out, '"')
}
