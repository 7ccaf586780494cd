package manifest

import (
	"sort"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// nodes is a JSON document as YAML nodes, so that both are read in one way.
func nodes(data []byte, root *jsontree.Value) *yaml.Node {
	s := source{data: data}
	for i, c := range data {
		if c == '\n' {
			s.ends = append(s.ends, i)
		}
	}
	return s.node(root)
}

type source struct {
	data []byte
	ends []int // of the lines

	last   int // the offset of the last place; the tree is read in the order of the text
	column int // there
	counts int // bytes that were counted, for tests
}

// place is that of an offset. jsontree.Place takes the whole text for each.
func (s *source) place(offset int) place {
	line := sort.SearchInts(s.ends, offset)
	start := 0
	if line > 0 {
		start = s.ends[line-1] + 1
	} else if jsontree.HasBOM(s.data) {
		start = len("\ufeff")
	}
	// A document may be one line, in which counting from its start for every
	// value would take minutes.
	column := 1
	if start <= s.last && s.last <= offset && s.column > 0 {
		start, column = s.last, s.column
	}
	s.counts += offset - start
	s.last, s.column = offset, column+utf8.RuneCount(s.data[start:offset])
	return place{line + 1, s.column}
}

func (s *source) node(v *jsontree.Value) *yaml.Node {
	at := s.place(v.Start)
	n := &yaml.Node{Line: at.line, Column: at.column, Value: string(s.data[v.Start:v.End])}
	switch v.Kind {
	case jsontree.Object:
		n.Kind, n.Tag, n.Value = yaml.MappingNode, "!!map", ""
		for i := range v.Members {
			m := &v.Members[i]
			at := s.place(m.Start)
			key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: m.Name, Line: at.line, Column: at.column}
			n.Content = append(n.Content, key, s.node(&m.Value))
		}
	case jsontree.Array:
		n.Kind, n.Tag, n.Value = yaml.SequenceNode, "!!seq", ""
		for i := range v.Elements {
			n.Content = append(n.Content, s.node(&v.Elements[i]))
		}
	case jsontree.String:
		n.Kind, n.Tag, n.Style, n.Value = yaml.ScalarNode, "!!str", yaml.DoubleQuotedStyle, v.Text
	case jsontree.Number:
		n.Kind, n.Tag = yaml.ScalarNode, "!!float"
	case jsontree.Bool:
		n.Kind, n.Tag = yaml.ScalarNode, "!!bool"
	default:
		n.Kind, n.Tag = yaml.ScalarNode, "!!null"
	}
	return n
}
