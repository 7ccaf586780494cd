package bundle

import "encoding/json"

// A member is one "key": value of a JSON object, as offsets into the
// object's text.
type member struct {
	name        string // the key, decoded
	key, keyEnd int
	value, end  int
}

// members lists the members of object, the text of a JSON object that
// encoding/json has accepted. It does not recurse, whatever the nesting.
func members(object []byte) []member {
	var list []member
	for at := skipSpace(object, 1); object[at] == '"'; {
		m := member{key: at}
		m.keyEnd = skipString(object, at)
		_ = json.Unmarshal(object[m.key:m.keyEnd], &m.name) // accepted before, as part of the whole
		colon := skipSpace(object, m.keyEnd)
		m.value = skipSpace(object, colon+1)
		m.end = skipValue(object, m.value)
		list = append(list, m)
		at = skipSpace(object, m.end)
		if object[at] == ',' {
			at = skipSpace(object, at+1)
		}
	}
	return list
}

func skipSpace(text []byte, at int) int {
	for text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n' {
		at++
	}
	return at
}

func skipString(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func skipValue(text []byte, at int) int {
	depth := 0
	for {
		switch text[at] {
		case '"':
			at = skipString(text, at)
			if depth == 0 {
				return at
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
			if depth < 0 { // a bare literal ended at the brace of the object around it
				return at
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return at
			}
		}
		at++
	}
}
