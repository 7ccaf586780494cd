package manifest

import (
	"bytes"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

func TestPlacesInALongLineAreCountedOnce(t *testing.T) {
	data := []byte("\ufeff\n[" + string(bytes.Repeat([]byte(`{"é":["x",1]},`), 10_000)) + "0]")
	root, err := jsontree.Parse(data, limits)
	if err != nil {
		t.Fatal(err)
	}
	s := source{data: data, ends: []int{3}}
	n := s.node(root)
	if got, want := n.Content[10_000].Column, 2+10_000*14; got != want || n.Content[10_000].Line != 2 {
		t.Errorf("line %d, column %d, want line 2, column %d", n.Content[10_000].Line, got, want)
	}
	if s.counts > len(data) {
		t.Errorf("%d bytes were counted of %d", s.counts, len(data))
	}
}
