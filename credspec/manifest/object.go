package manifest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// place is where something stands in the file, from 1, columns in characters.
type place struct{ line, column int }

func at(n *yaml.Node) place { return place{n.Line, n.Column} }

// severity is a problem's, with what to do about it.
type severity struct {
	credspec.Severity
	hint string
}

func errorf(hint string) severity   { return severity{credspec.SeverityError, hint} }
func warningf(hint string) severity { return severity{credspec.SeverityWarning, hint} }

func problem(path string, at place, s severity, format string, args ...any) credspec.Problem {
	return credspec.Problem{Path: path, Severity: s.Severity, Message: fmt.Sprintf(format, args...), Hint: s.hint, Line: at.line, Column: at.column}
}

// maxProblems bounds what is listed of an object: all that credspec.Validate
// lists, and some.
const maxProblems = 512

// object reads the object that a pointer points to; or the objects of a list,
// which stands in no other.
func (f *file) object(n *yaml.Node, path string) {
	o := Object{path: jsontree.Pointer(path, nameCredspec)}
	add := func(p credspec.Problem) {
		if len(o.Problems) < maxProblems {
			o.Problems = append(o.Problems, p)
		}
	}
	n = resolved(n)
	if n.Kind != yaml.MappingNode {
		add(problem(path, at(n), errorf("an object is a mapping with apiVersion, kind and metadata"), "is %s and should be an object", kindOf(n)))
		f.objects = append(f.objects, o)
		return
	}
	members := f.members(n, path, add)
	o.APIVersion, o.Kind = text(members[nameAPIVersion].value), text(members[nameKind].value)
	group, v, _ := strings.Cut(o.APIVersion, "/")
	ours := group == Group || strings.EqualFold(o.Kind, Kind)
	switch {
	case (o.Kind == "List" || o.Kind == Kind+"List") && path == "":
		f.list(members[nameItems].value, jsontree.Pointer(path, nameItems), at(n))
		return
	case o.Kind != "" && o.APIVersion != "" && !ours:
		o.Name = text(f.members(resolved(members[nameMetadata].value), "", ignore)["name"].value)
		f.objects = append(f.objects, Object{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, Skipped: true})
		return
	}
	f.typed(&o, members, n, path, group, v, add)
	o.Name = f.metadata(members, n, path, add)
	f.credspec(&o, members, n, path, add)
	slices.SortStableFunc(o.Problems, func(a, b credspec.Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	f.objects = append(f.objects, o)
}

func ignore(credspec.Problem) {}

func (f *file) list(items *yaml.Node, path string, at place) {
	items = resolved(items)
	if items == nil || items.Kind != yaml.SequenceNode {
		f.objects = append(f.objects, Object{Kind: "List", Problems: []credspec.Problem{
			problem(path, at, errorf("a list has its objects there"), "is missing, or is no array")}})
		return
	}
	for i, item := range items.Content {
		if f.spent > maxWork {
			f.objects = append(f.objects, Object{Problems: []credspec.Problem{*tooLarge(path, place{item.Line, item.Column})}})
			return
		}
		f.object(item, jsontree.PointerIndex(path, i))
	}
}

// typed checks apiVersion and kind, and that there is nothing else than there
// should be.
func (f *file) typed(o *Object, members map[string]member, n *yaml.Node, path, group, v string, add func(credspec.Problem)) {
	const whole = "apiVersion: " + Group + "/" + version + ", kind: " + Kind
	others(members, path, add)
	for _, name := range []string{nameAPIVersion, nameKind} {
		pointer := jsontree.Pointer(path, name)
		switch m, there := members[name]; {
		case !there:
			add(problem(pointer, at(n), errorf("write "+whole), "is missing"))
		case m.value != nil && text(m.value) == "":
			add(problem(pointer, at(m.value), errorf("write "+whole), "is %s and should be a string", kindOf(resolved(m.value))))
		}
	}
	if o.Kind != "" && o.Kind != Kind {
		add(problem(jsontree.Pointer(path, nameKind), at(members[nameKind].value), errorf("write "+Kind), "is %q, which %s does not have", o.Kind, Group))
	}
	switch pointer := jsontree.Pointer(path, nameAPIVersion); {
	case o.APIVersion == "":
	case group != Group || v != version && v != deprecated:
		add(problem(pointer, at(members[nameAPIVersion].value), errorf("write "+Group+"/"+version), "is %q; a %s is of %s/%s", o.APIVersion, Kind, Group, version))
	case v == deprecated:
		add(problem(pointer, at(members[nameAPIVersion].value), warningf("write "+Group+"/"+version), "is %q, which is deprecated", o.APIVersion))
	}
}

// others reports the members that an object does not have. What is meant for a
// missing one stands in its place from then on, without a value.
func others(members map[string]member, path string, add func(credspec.Problem)) {
	known := []string{nameAPIVersion, nameKind, nameMetadata, nameCredspec}
	for _, m := range inOrder(members) {
		if slices.Contains(known, m.name) {
			continue
		}
		meant, remedy := "", "remove it"
		for _, name := range known {
			if strings.EqualFold(m.name, name) {
				meant, remedy = name, "write "+name
			}
		}
		if m.name == "spec" {
			meant, remedy = nameCredspec, "put what credspec holds beside metadata, not into a spec"
		}
		pointer := jsontree.Pointer(path, m.name)
		if _, there := members[meant]; meant != "" && !there {
			members[meant] = member{key: m.key, name: meant}
			add(problem(pointer, at(m.key), errorf(remedy), "is not known, and %s is missing", meant))
			continue
		}
		add(problem(pointer, at(m.key), warningf(remedy), "is not known; the API server drops it, and kubectl refuses it"))
	}
}

// metadata checks metadata and returns the object's name.
func (f *file) metadata(members map[string]member, n *yaml.Node, path string, add func(credspec.Problem)) string {
	const remedy = "write metadata: {name: …}, the name by which pods ask for it"
	pointer := jsontree.Pointer(path, nameMetadata)
	m, there := members[nameMetadata]
	meta := resolved(m.value)
	switch {
	case there && meta == nil:
		return "" // has been reported
	case meta == nil:
		add(problem(pointer, at(n), errorf(remedy), "is missing"))
		return ""
	case meta.Kind != yaml.MappingNode:
		add(problem(pointer, at(m.value), errorf(remedy), "is %s and should be an object", kindOf(meta)))
		return ""
	}
	inner := f.members(meta, pointer, add)
	if ns := inner["namespace"]; ns.value != nil {
		add(problem(jsontree.Pointer(pointer, "namespace"), at(ns.key), warningf("remove it; a role's verb use says who may use the object"),
			"has no meaning: a %s belongs to the whole cluster", Kind))
	}
	named := inner["name"]
	pointer = jsontree.Pointer(pointer, "name")
	switch name := text(named.value); {
	case named.value == nil && inner["generateName"].value != nil:
		add(problem(pointer, at(m.key), warningf("write a name, as pods have to give it"), "is missing: the API server makes one up"))
		return ""
	case named.value == nil:
		add(problem(pointer, at(meta), errorf(remedy), "is missing"))
		return ""
	case unrendered(resolved(named.value)):
		add(problem(pointer, at(named.value), errorf(render), "is a template's {{…}}"))
		return ""
	case resolved(named.value).ShortTag() != "!!str" && resolved(named.value).ShortTag() != "!!timestamp":
		add(problem(pointer, at(named.value), errorf("write it in quotation marks"), "is %s and should be a string", kindOf(resolved(named.value))))
		return name
	case !subdomain(name):
		remedy := "take small letters, digits, hyphens and dots; a letter or digit begins and ends it"
		if lower := strings.ToLower(name); subdomain(lower) {
			remedy = "write " + lower + ", and the same in pods and roles"
		}
		add(problem(pointer, at(named.value), errorf(remedy), "is %q, which the API server refuses: a name is a DNS subdomain in small letters (RFC 1123)", name))
		return name
	default:
		return name
	}
}

// maxSubdomain is the longest name of a Kubernetes object.
const maxSubdomain = 253

// subdomain is Kubernetes' rule for the names of most objects.
func subdomain(s string) bool {
	if len(s) > maxSubdomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		const alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"
		if label == "" || strings.Trim(label, alphanumeric+"-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// credspec reads the credential spec.
func (f *file) credspec(o *Object, members map[string]member, n *yaml.Node, path string, add func(credspec.Problem)) {
	m, there := members[nameCredspec]
	switch {
	case there && m.value == nil:
		return // has been reported
	case m.value == nil:
		add(problem(o.path, at(n), errorf("put the credential spec there, beside metadata"), "is missing"))
		return
	}
	if v := resolved(m.value); v.Kind != yaml.MappingNode {
		add(problem(o.path, at(m.value), errorf("write the credential spec's members below it, as they are"), "is %s and should be an object", kindOf(v)))
		return
	}
	c := converter{file: f, path: o.path, add: add}
	c.value(m.value, o.path, 0)
	if c.over != nil {
		add(*c.over)
		return
	}
	o.Document, o.tokens = c.out, c.tokens
	for _, p := range credspec.Validate(o.Document, f.options...) {
		if p = o.Locate(p); !c.failed[p.Path] {
			add(p)
		}
	}
}
