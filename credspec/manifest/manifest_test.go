package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/credspec/manifest"
)

// scripts have manifests, with the verdicts that the command prints; here they
// are seeds, and compared with a real API server's.
var scripts = []string{
	"../../cmd/gmsa-agent/testdata/script/credspec_validate_manifest.txtar",
	"../../cmd/gmsa-agent/testdata/script/credspec_validate_peers.txtar",
}

const object = `apiVersion: windows.k8s.io/v1
kind: GMSACredentialSpec
metadata:
  name: webapp01
credspec:
  CmsPlugins: [ActiveDirectory]
  DomainJoinConfig:
    Sid: S-1-5-21-2126449477-2524075714-3094792973
    MachineAccountName: webapp01
    Guid: 244818ae-87ac-4fcd-92ec-e79e5252348a
    DnsTreeName: contoso.com
    DnsName: contoso.com
    NetBiosName: CONTOSO
  ActiveDirectoryConfig:
    GroupManagedServiceAccounts:
    - {Name: webapp01, Scope: contoso.com}
    - {Name: webapp01, Scope: CONTOSO}
`

func edited(t testing.TB, oldnew ...string) string {
	t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(object, oldnew[i]) {
			t.Fatalf("the object has no %q", oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(object)
}

func TestIsTellsManifestsFromCredentialSpecs(t *testing.T) {
	for text, want := range map[string]bool{
		object:                              true,
		"\ufeff# a comment\n---\n" + object: true,
		"kind: Namespace\n":                 true,
		"\"apiVersion\": v1\n\tbroken":      true,
		`{"apiVersion": "v1", "kind": "X"}`: true,
		credspectest.Document:               false,
		`{"kind": "X"}`:                     false,
		`{"apiVersion": "v1", "kind": `:     false,
		"CmsPlugins: [ActiveDirectory]\n":   false,
		"services:\n  kind: x\n":            false,
		"":                                  false,
	} {
		if got := manifest.Is([]byte(text)); got != want {
			t.Errorf("Is(%.40q) = %v", text, got)
		}
	}
}

// found is a problem without its texts.
type found struct {
	path         string
	line, column int
}

func TestPlacesAreThoseInTheFile(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []found
	}{
		{"a value", edited(t, "CONTOSO\n  Active", "CON/TOSO\n  Active"), []found{{"/credspec/DomainJoinConfig/NetBiosName", 13, 18}}},
		{"a key", edited(t, "    Sid:", "    Nöte: ä\n    Sid:"), []found{{"/credspec/DomainJoinConfig/Nöte", 8, 5}}},
		{"in a flow mapping, behind letters of two bytes", edited(t, "{Name: webapp01, Scope: CONTOSO}", "{Nöte: äöü, Name: webapp01, Scope: CON/TOSO}"),
			[]found{{"/credspec/ActiveDirectoryConfig/GroupManagedServiceAccounts/1/Nöte", 17, 8}, {"/credspec/ActiveDirectoryConfig/GroupManagedServiceAccounts/1/Scope", 17, 42}}},
		{"a missing member stands where its object does", edited(t, "    NetBiosName: CONTOSO\n", ""), []found{{"/credspec/DomainJoinConfig/NetBiosName", 8, 5}}},
		{"of the second document", object + "---\n" + edited(t, "Sid: S-1", "Sid: X-1"), []found{{"/credspec/DomainJoinConfig/Sid", 26, 10}}},
		{"behind Windows' line ends", strings.ReplaceAll(edited(t, "Sid: S-1", "Sid: X-1"), "\n", "\r\n"), []found{{"/credspec/DomainJoinConfig/Sid", 8, 10}}},
		{"an alias is where it is used", edited(t, "DnsTreeName: contoso.com", "DnsTreeName: &a con..toso", "DnsName: contoso.com", "DnsName: *a"),
			[]found{{"/credspec/DomainJoinConfig/DnsTreeName", 11, 18}, {"/credspec/DomainJoinConfig/DnsName", 12, 14}}},
		{"what is no YAML hides no other document", object + "---\na: [\n---\n" + edited(t, "name: webapp01\nc", "name: Webapp01\nc"), []found{{"", 20, 1}, {"/metadata/name", 24, 9}}},
		{"JSON", "{\n\"apiVersion\": \"windows.k8s.io/v1\", \"kind\": \"GMSACredentialSpec\",\n\t\"metadata\": {\"name\": \"ä\"}, \"credspec\": 1}", []found{{"/metadata/name", 3, 23}, {"/credspec", 3, 41}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []found
			for _, o := range manifest.Read([]byte(tt.text)) {
				for _, p := range o.Problems {
					got = append(got, found{p.Path, p.Line, p.Column})
				}
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(found{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheDocumentOfAnObjectIsItsCredentialSpec(t *testing.T) {
	objects := manifest.Read([]byte(edited(t, "Sid:", "Count: 0x10\n    Sid:")))
	if len(objects) != 1 || objects[0].Name != "webapp01" || objects[0].Skipped {
		t.Fatalf("%+v", objects)
	}
	spec, err := credspec.Parse(objects[0].Document)
	if err != nil {
		t.Fatal(err)
	}
	if join := spec.DomainJoinConfig; join.DnsName != "contoso.com" || join.NetBiosName != "CONTOSO" || len(spec.ActiveDirectoryConfig.GroupManagedServiceAccounts) != 2 {
		t.Errorf("%+v", join)
	}
}

// Who asks a directory about the document has its problems placed in the file.
func TestLocatePlacesProblemsOfTheDocumentInTheFile(t *testing.T) {
	o := manifest.Read([]byte(object))[0]
	const path = "/DomainJoinConfig/DnsName"
	line, column := credspec.Place(o.Document, path)
	p := o.Locate(credspec.Problem{Path: path, Line: line, Column: column})
	if p.Path != "/credspec"+path || p.Line != 12 || p.Column != 14 {
		t.Errorf("%+v", p)
	}
}

func TestMergedMappingsAreOverriddenByWhatStandsBesideThem(t *testing.T) {
	text := edited(t, "    - {Name: webapp01, Scope: contoso.com}\n    - {Name: webapp01, Scope: CONTOSO}\n",
		"    - &e {Name: webapp01, Scope: contoso.com}\n    - {<<: [*e, {Scope: other}], Scope: CONTOSO}\n    - <<: *e\n      Scope: fabrikam.com\n    - {<<: *e, Scope: FABRIKAM}\n")
	o := manifest.Read([]byte(text))[0]
	spec, err := credspec.Parse(o.Document)
	if err != nil || len(o.Problems) > 0 {
		t.Fatal(err, o.Problems)
	}
	for i, want := range []string{"contoso.com", "CONTOSO", "fabrikam.com", "FABRIKAM"} {
		if a := spec.ActiveDirectoryConfig.GroupManagedServiceAccounts[i]; a.Name != "webapp01" || a.Scope != want {
			t.Errorf("entry %d is %+v, want the scope %s", i, a, want)
		}
	}
}

func TestOptionsReachEveryObject(t *testing.T) {
	text := edited(t, "    GroupManaged", "    HostAccountConfig: {PortableCcgVersion: '1', PluginGUID: '"+credspec.PluginGUID+"', PluginInput: x}\n    GroupManaged")
	plugin := credspec.Plugin{GUID: credspec.PluginGUID, Served: true, Input: func(string) error { return fmt.Errorf("no") }}
	for _, o := range manifest.Read([]byte(text+"---\n"+text), credspec.WithPlugins(plugin)) {
		if len(o.Problems) != 1 || !strings.HasSuffix(o.Problems[0].Path, "/PluginInput") {
			t.Errorf("%v", o.Problems)
		}
	}
}

// Aliases make a small file large: what is read of it is bounded all the same.
func TestBombsAreRefused(t *testing.T) {
	bomb := func(line func(name, before byte) string) string {
		var b strings.Builder
		for c := byte('b'); c <= 'i'; c++ {
			b.WriteString(line(c, c-1))
		}
		return b.String()
	}
	const head = "apiVersion: windows.k8s.io/v1\nkind: GMSACredentialSpec\nmetadata: {name: x}\ncredspec:\n"
	many := func(s string) string { return strings.TrimSuffix(strings.Repeat(s+", ", 10), ", ") }
	for name, text := range map[string]string{
		"aliases": head + "  a: &a [x]\n" + bomb(func(c, before byte) string {
			return fmt.Sprintf("  %c: &%c [%s]\n", c, c, many(fmt.Sprintf("*%c", before)))
		}),
		"merges": head + "  a: &a {k: v}\n" + bomb(func(c, before byte) string {
			return fmt.Sprintf("  %c: &%c {<<: [%s]}\n", c, c, many(fmt.Sprintf("*%c", before)))
		}),
		"a circle":          head + "  a: &a {b: *a}\n",
		"a circle of merge": head + "  a: &a {<<: [*a, *a, *a]}\n",
		"depth":             head + "  a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n",
		"long texts":        head + "  a: &a " + strings.Repeat("x", 500_000) + "\n  b: [" + strings.Repeat("*a, ", 1000) + "]\n",
		"long names":        head + "  ? " + strings.Repeat("x", 2000) + "\n  : y\n",
		"too long":          head + strings.Repeat("#", credspec.MaxSize),
		"lists":             "apiVersion: v1\nkind: List\nitems:\n- &o\n  " + strings.ReplaceAll(head, "\n", "\n  ") + "  a: [" + strings.Repeat("x,", 8000) + "]\n" + strings.Repeat("- *o\n", 50_000),
	} {
		objects := manifest.Read([]byte(text))
		refused, problems := false, 0
		for _, o := range objects {
			refused = refused || !credspec.Valid(o.Problems)
			problems += len(o.Problems)
		}
		if !refused || problems > 600*len(objects) || len(objects) > 1000 {
			t.Errorf("%s: %d objects, %d problems", name, len(objects), problems)
		}
	}
}

// Whatever the bytes: the problems are within the text and have all that they
// should, and a document can be parsed as JSON.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		object, "---\n" + object + "...\n---\n# x\n---\nkind: List\nitems: []\n",
		edited(f, "contoso.com\n    Net", "*a\n    Net", "DnsTreeName: ", "DnsTreeName: &a "),
		"{\"apiVersion\": \"windows.k8s.io/v1\", \"kind\": \"GMSACredentialSpec\", \"credspec\": {\"a\": [1, null, true, \"\\u00e4\"]}}",
		"apiVersion: v1\nkind: List\nitems: [&a {kind: GMSACredentialSpec, credspec: {<<: [*a, {b: !x y}], ? {z: 1} : 0}}, *a]\n",
		"%YAML 1.1\n---\nkind: x\n", "kind: x\n\tapiVersion: {{ y }}\n", "\ufeffkind: GMSACredentialSpec\r\ncredspec: >\r\n  x\r\n",
	} {
		f.Add([]byte(text))
	}
	for _, script := range scripts {
		archive, err := txtar.ParseFile(script)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if manifest.Is(file.Data) {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		manifest.Is(text)
		lines := 2 + strings.Count(string(text), "\n") + strings.Count(string(text), "\r") + strings.Count(string(text), "\u2028") + strings.Count(string(text), "\u2029") + strings.Count(string(text), "\u0085")
		for _, o := range manifest.Read(text) {
			for _, p := range o.Problems {
				if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" || p.Hint == "" || p.Severity != credspec.SeverityError && p.Severity != credspec.SeverityWarning {
					t.Fatalf("problem %+v in %d lines", p, lines)
				}
			}
			if len(o.Problems) > 600 {
				t.Fatalf("%d problems", len(o.Problems))
			}
			if o.Skipped && (len(o.Problems) > 0 || o.Document != nil) {
				t.Fatalf("skipped, and yet %+v", o)
			}
			if o.Document == nil {
				continue
			}
			if _, err := credspec.Parse(o.Document); err != nil && credspec.Valid(o.Problems) {
				t.Fatalf("valid, and yet: %v in %s", err, o.Document)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	text := []byte(strings.Repeat(object+"---\n", 50))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if objects := manifest.Read(text); len(objects) != 50 {
			b.Fatal(len(objects))
		}
	}
}
