package credspec

import (
	"strconv"

	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// Place tells where in a document the value stands that a JSON pointer (RFC
// 6901) names, as a [Problem] has it: from 1, columns in characters.
//
// Where there is no such value, it is the place of the nearest one around the
// missing one. Of two members of one name it is the first. What is not JSON, or
// beyond [Parse]'s bounds, is one place: line 1, column 1.
func Place(data []byte, path string) (line, column int) {
	root, err := jsontree.Parse(data, limits)
	if err != nil {
		return 1, 1
	}
	return jsontree.Place(data, find(root, "", path).Start)
}

// find goes from v, which stands at a pointer, as far down towards path as
// there are values.
func find(v *jsontree.Value, at, path string) *jsontree.Value {
	for at != path {
		name, ok := jsontree.Step(at, path)
		if !ok {
			return v
		}
		next := below(v, name)
		if next == nil {
			return v
		}
		at, v = jsontree.Pointer(at, name), next
	}
	return v
}

// below is the member or element of v that a pointer's part names; nil if there
// is none.
func below(v *jsontree.Value, name string) *jsontree.Value {
	for i := range v.Members {
		if v.Members[i].Name == name {
			return &v.Members[i].Value
		}
	}
	if i, err := strconv.Atoi(name); err == nil && 0 <= i && i < len(v.Elements) && strconv.Itoa(i) == name {
		return &v.Elements[i]
	}
	return nil
}
