package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// maxProblems keeps the report about a file that is no configuration readable.
const maxProblems = 100

// decoder fills a Config from YAML nodes. It walks the nodes itself, because
// the library stops at the first unknown key and cannot say afterwards where a
// value stood.
type decoder struct {
	problems []Problem
	places   map[string]place // by key; only what stands in the file
}

type place struct{ line, column int }

func (d *decoder) add(key, format string, args ...any) {
	p := d.place(key)
	d.problems = append(d.problems, Problem{p.line, p.column, key, fmt.Sprintf(format, args...)})
}

// place is where a key's value stands, or else that of the nearest key around it.
func (d *decoder) place(key string) place {
	for {
		if p, ok := d.places[key]; ok || key == "" {
			return p
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
}

// failed says whether a problem of this very key is known already.
func (d *decoder) failed(key string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool { return p.Key == key })
}

// decode reads one YAML document into c. No document, or one of comments only,
// changes nothing.
func (d *decoder) decode(data []byte, c *Config) {
	d.places = make(map[string]place)
	var docs []yaml.Node
	if err := yaml.Load(data, &docs, yaml.WithAllDocuments()); err != nil {
		d.problems = append(d.problems, syntaxProblem(data, err))
		return
	}
	if len(docs) == 0 {
		return
	}
	if len(docs) > 1 {
		d.places[""] = place{docs[1].Line, docs[1].Column}
		d.add("", "a second YAML document: the configuration is one")
		return
	}
	root := &docs[0]
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	if root.Tag == "!!null" {
		return
	}
	d.value(root, "", reflect.ValueOf(c).Elem())
}

func syntaxProblem(data []byte, err error) Problem {
	var syntax *yaml.LoadError
	if !errors.As(err, &syntax) {
		return Problem{Message: "not YAML: " + err.Error()}
	}
	p := Problem{Line: syntax.Mark.Line, Column: syntax.Mark.Column, Message: "not YAML: " + syntax.Message}
	if syntax.ContextMsg != "" {
		p.Message += " " + syntax.ContextMsg
	}
	if p.Line == 0 { // the reader knows no lines: it fails at the first byte that is no text
		if at := bytes.IndexFunc(data, notText); at >= 0 {
			p.Line = 1 + bytes.Count(data[:at], []byte("\n"))
		}
	}
	return p
}

func notText(r rune) bool {
	return r == '\uFFFD' || r < ' ' && r != '\n' && r != '\r' && r != '\t'
}

var durationType = reflect.TypeFor[time.Duration]()

// value decodes node into v, or reports why it cannot and leaves v as it is.
func (d *decoder) value(node *yaml.Node, key string, v reflect.Value) {
	d.places[key] = place{node.Line, node.Column}
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		d.add(key, "anchors and aliases are not supported: write the value out")
		return
	case node.Style&yaml.TaggedStyle != 0:
		d.add(key, "the tag %s is not supported: write the plain value", node.Tag)
		return
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		d.add(key, "has no value: give it %s, or remove the key", wanted(v.Type()))
		return
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(node, key, v, text.UnmarshalText)
		return
	}
	if v.Type() == durationType {
		d.text(node, key, v, func(b []byte) error { return duration(v, string(b)) })
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(node, key, v.Elem())
	case reflect.Struct:
		d.mapping(node, key, v, d.field)
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		d.mapping(node, key, v, d.entry)
	case reflect.Slice:
		d.list(node, key, v)
	case reflect.String:
		d.text(node, key, v, func(b []byte) error { v.SetString(string(b)); return nil })
	case reflect.Int:
		d.text(node, key, v, func(b []byte) error { return integer(v, string(b)) })
	default:
		// Only a field of Config with a type not named above gets here, and
		// the sample's test decodes every field.
		d.add(key, "cannot be configured: type %s", v.Type())
	}
}

// text decodes a scalar. The text counts, not the type that YAML finds in it:
// "tag: 1.20" is the text 1.20.
func (d *decoder) text(node *yaml.Node, key string, v reflect.Value, set func([]byte) error) {
	if node.Kind != yaml.ScalarNode {
		d.add(key, "is %s, must be %s", kindName(node), wanted(v.Type()))
		return
	}
	if err := set([]byte(node.Value)); err != nil {
		d.add(key, "%v", err)
	}
}

func duration(v reflect.Value, s string) error {
	got, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf(`%q is not a duration: write it as "90s" or "5m"`, s)
	}
	v.SetInt(int64(got))
	return nil
}

func integer(v reflect.Value, s string) error {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is not a number", s)
	}
	v.SetInt(n)
	return nil
}

func (d *decoder) list(node *yaml.Node, key string, v reflect.Value) {
	if node.Kind != yaml.SequenceNode {
		d.add(key, "is %s, must be %s", kindName(node), wanted(v.Type()))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content)))
	for i, item := range node.Content {
		d.value(item, fmt.Sprintf("%s[%d]", key, i), v.Index(i))
	}
}

// mapping calls put for every key that stands there once.
func (d *decoder) mapping(node *yaml.Node, key string, v reflect.Value, put func(k, val *yaml.Node, key string, v reflect.Value)) {
	if node.Kind != yaml.MappingNode {
		d.add(key, "is %s, must be %s", kindName(node), wanted(v.Type()))
		return
	}
	first := make(map[string]int, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		k, val := node.Content[i], node.Content[i+1]
		at := child(key, k.Value)
		line, twice := first[k.Value]
		switch {
		case k.Kind != yaml.ScalarNode || k.Anchor != "" || k.Style&yaml.TaggedStyle != 0:
			d.at(k, key, "a key must be a plain word")
		case twice:
			d.at(k, at, "given twice: first in line %d", line)
		default:
			first[k.Value] = k.Line
			put(k, val, at, v)
		}
	}
}

// at reports a problem of a key rather than of its value.
func (d *decoder) at(k *yaml.Node, key, format string, args ...any) {
	d.problems = append(d.problems, Problem{k.Line, k.Column, key, fmt.Sprintf(format, args...)})
}

func (d *decoder) field(k, val *yaml.Node, key string, v reflect.Value) {
	for i := range v.NumField() {
		if name := fieldKey(v.Type().Field(i)); name != "" && name == k.Value {
			d.value(val, key, v.Field(i))
			return
		}
	}
	d.at(k, key, "unknown key: known here are %s", strings.Join(fieldKeys(v.Type()), ", "))
}

func (d *decoder) entry(k, val *yaml.Node, key string, v reflect.Value) {
	if k.Value == "" {
		d.at(k, key, "a key must not be empty")
		return
	}
	elem := reflect.New(v.Type().Elem()).Elem()
	d.value(val, key, elem)
	v.SetMapIndex(reflect.ValueOf(k.Value), elem)
}

// fieldKey is the key of a field of Config; empty for one that is no setting.
func fieldKey(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

func fieldKeys(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if k := fieldKey(t.Field(i)); k != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

// child is the key path of name within key. A name that would be misread in a
// path, such as a domain's, is quoted.
func child(key, name string) string {
	if strings.ContainsAny(name, `.:[]" `) || name == "" {
		return key + "[" + strconv.Quote(name) + "]"
	}
	if key == "" {
		return name
	}
	return key + "." + name
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

func wanted(t reflect.Type) string {
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || t == durationType:
		return "a single value"
	case t.Kind() == reflect.Struct:
		return "a mapping with the keys " + strings.Join(fieldKeys(t), ", ")
	case t.Kind() == reflect.Map:
		return "a mapping"
	case t.Kind() == reflect.Slice:
		return `a list ("- " before each entry)`
	default:
		return "a single value"
	}
}
