package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// The bounds of a credential spec, within those of credspec.Parse. Aliases are
// expanded within them.
const (
	maxDepth  = 32
	maxValues = 1 << 14
	maxName   = 1 << 10
)

// maxWork bounds what one file may cost, which by aliases could be far more
// than its size: in values that are looked at, and units of text.
const (
	maxWork  = 1 << 18
	textUnit = 64 // bytes
)

// token is a key or value of the JSON text, which is one line, and where it
// stands in the file.
type token struct {
	column int
	place  place
}

// placeOf is where the token stands that a column belongs to.
func placeOf(tokens []token, column int) place {
	i := sort.Search(len(tokens), func(i int) bool { return tokens[i].column > column })
	return tokens[max(i-1, 0)].place
}

// converter writes YAML as JSON, as kubectl does it, and remembers the places.
type converter struct {
	file   *file
	path   string
	add    func(credspec.Problem)
	out    []byte
	runes  int // in out
	values int
	tokens []token
	failed map[string]bool   // pointers to what could not be converted
	over   *credspec.Problem // a bound was hit: out is of no use
}

func (c *converter) write(text []byte) {
	c.out = append(c.out, text...)
	c.runes += utf8.RuneCount(text)
}

func (c *converter) token(at place, text []byte) {
	c.tokens = append(c.tokens, token{c.runes + 1, at})
	c.write(text)
}

func (c *converter) value(n *yaml.Node, path string, depth int) {
	where := at(n)
	n = resolved(n)
	if c.values++; c.over == nil && (depth > maxDepth || c.values > maxValues || len(c.out) > credspec.MaxSize || !c.file.spend(1+len(n.Value)/textUnit)) {
		c.over = tooLarge(c.path, where)
	}
	if c.over != nil {
		return
	}
	if unrendered(n) {
		c.fail(path, where, render, "is a template's {{…}}")
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		c.token(where, []byte("{"))
		comma := ""
		for _, m := range inOrder(c.file.members(n, path, c.add)) {
			c.write([]byte(comma))
			comma = ","
			if len(m.name) > maxName {
				p := problem(path, at(m.key), errorf("shorten it"), "has a name longer than %d bytes", maxName)
				c.over = &p
				return
			}
			c.token(at(m.key), jsontree.Quote(m.name))
			c.write([]byte(":"))
			c.value(m.value, jsontree.Pointer(path, m.name), depth+1)
		}
		c.write([]byte("}"))
	case yaml.SequenceNode:
		c.token(where, []byte("["))
		for i, e := range n.Content {
			if i > 0 {
				c.write([]byte(","))
			}
			c.value(e, jsontree.PointerIndex(path, i), depth+1)
		}
		c.write([]byte("]"))
	default:
		c.scalar(n, where, path)
	}
}

func (c *converter) scalar(n *yaml.Node, where place, path string) {
	switch tag := n.ShortTag(); {
	case tag == "!!str" && n.Style == 0 && yes[strings.ToLower(n.Value)]:
		c.fail(path, where, "write it in quotation marks", fmt.Sprintf("is %s, which Kubernetes takes for true or false", n.Value))
	case tag == "!!str", tag == "!!timestamp", tag == "!!merge":
		c.token(where, jsontree.Quote(n.Value))
	case tag == "!!null":
		c.token(where, []byte("null"))
	case tag == "!!bool":
		c.token(where, []byte("true"))
	case tag == "!!int", tag == "!!float":
		// Only that it is a number matters, of which a credential spec has none.
		number := []byte(n.Value)
		if !json.Valid(number) {
			number = []byte("0")
		}
		c.token(where, number)
	case strings.HasPrefix(tag, "!!"):
		c.fail(path, where, "write the plain value", fmt.Sprintf("has the tag %s, which is not read", tag))
	default:
		c.add(problem(path, where, warningf("remove it"), "has the tag %s, which Kubernetes ignores", tag))
		c.token(where, jsontree.Quote(n.Value))
	}
}

// fail reports what cannot be converted; nothing else will be said of it.
func (c *converter) fail(path string, where place, hint, message string) {
	c.add(problem(path, where, errorf(hint), "%s", message))
	if c.failed == nil {
		c.failed = make(map[string]bool)
	}
	c.failed[path] = true
	c.token(where, []byte("null"))
}

const render = "render the template first, as helm template does it"

// unrendered reports whether a node is what YAML makes of {{ a template }}.
func unrendered(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 && len(n.Content) == 2 && n.Content[0].Kind == yaml.MappingNode && n.Content[0].Style&yaml.FlowStyle != 0
}

// yes are the plain words that are truth values in YAML 1.1, which Kubernetes
// reads, beside true and false.
var yes = map[string]bool{"yes": true, "no": true, "on": true, "off": true, "y": true, "n": true}

func tooLarge(path string, where place) *credspec.Problem {
	p := problem(path, where, errorf("a credential spec is five deep and has less than fifty values; see what the file repeats by aliases"), "is too large, or goes round in a circle")
	return &p
}

// spend takes from what the file may cost, and reports whether there was as
// much.
func (f *file) spend(units int) bool {
	f.spent += units
	return f.spent <= maxWork
}

// resolved follows an alias; nil stays nil. What an alias refers to is none.
func resolved(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// member is a key of a mapping and its value.
type member struct {
	key, value *yaml.Node
	name       string
	index      int
}

// members are a mapping's by name, with those that are merged into it. It
// reports keys that stand there twice and those that are no text.
func (f *file) members(n *yaml.Node, path string, add func(credspec.Problem)) map[string]member {
	members := make(map[string]member)
	if n != nil && n.Kind == yaml.MappingNode {
		f.merge(members, n, path, add, 0)
	}
	return members
}

func (f *file) merge(members map[string]member, n *yaml.Node, path string, add func(credspec.Problem), depth int) {
	if f.spent > maxWork {
		return
	}
	var merged []*yaml.Node
	here := make(map[string]place, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content) && f.spend(1); i += 2 {
		key, value := resolved(n.Content[i]), n.Content[i+1]
		switch first, twice := here[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			add(problem(path, at(n.Content[i]), errorf("write a plain word"), "has a key that is %s", kindOf(key)))
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
		case twice:
			add(problem(jsontree.Pointer(path, key.Value), at(key), errorf("remove one of them"), "stands there twice (first in line %d, column %d); readers disagree on which one counts", first.line, first.column))
		default:
			here[key.Value] = at(key)
			if _, overridden := members[key.Value]; !overridden {
				members[key.Value] = member{key, value, key.Value, len(members)}
			}
		}
	}
	for _, m := range merged {
		each := []*yaml.Node{m}
		if s := resolved(m); s.Kind == yaml.SequenceNode {
			each = s.Content
		}
		for _, m := range each {
			v := resolved(m)
			if v.Kind != yaml.MappingNode || depth == maxDepth {
				add(problem(path, at(m), errorf("write the members out"), "merges what is no mapping, or itself"))
				break
			}
			f.merge(members, v, path, add, depth+1)
		}
	}
}

func inOrder(members map[string]member) []member {
	all := make([]member, 0, len(members))
	for _, m := range members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b member) int { return a.index - b.index })
	return all
}

// text is a scalar's; empty for anything else.
func text(n *yaml.Node) string {
	if n = resolved(n); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

func kindOf(n *yaml.Node) string {
	switch {
	case n == nil:
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "an object"
	case n.Kind == yaml.SequenceNode:
		return "an array"
	}
	switch n.ShortTag() {
	case "!!null":
		return "null"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	}
	return "a string"
}
