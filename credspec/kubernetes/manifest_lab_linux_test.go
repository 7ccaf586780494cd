package kubernetes_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/manifest"
)

// What Manifest writes must be what the API server takes, and what comes back
// must be the document: the object's definition drops members that it does not know.
func TestAWrittenManifestIsTakenAndComesBack(t *testing.T) {
	l := startLab(t)
	domain := credspec.Domain{
		DNSName: "contoso.com", NetBIOSName: "NO", Forest: "contoso.com", // which is a truth value in YAML 1.1
		SID: "S-1-5-21-2126449477-2524075714-3094792973", GUID: "244818ae-87ac-4fcd-92ec-e79e5252348a",
	}
	additional := []credspec.Member{{Name: "büro01", DNSName: "fabrikam.com", NetBIOSName: "FABRIKAM"}}
	for name, host := range map[string]*credspec.HostAccountConfig{
		"written-without-plugin": nil,
		"written-with-plugin": {
			PortableCcgVersion: "1", PluginGUID: "{859E1386-BDB4-49E8-85C7-3070B13920E1}",
			PluginInput: `{"credentialArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a: #'b\\"}`,
		},
	} {
		spec := credspec.Generate(domain, "webapp01", additional, host)
		manifest, err := manifest.Write(spec, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Apply(t.Context(), manifest); err != nil {
			t.Fatalf("%v\n%s", err, manifest)
		}
		ref, err := credspec.ParseRef("kubernetes://" + name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := admin(t, l).Resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		back, err := credspec.Parse(doc.Data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(asJSON(t, spec), asJSON(t, back)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// asJSON is a document's members: the types print without what they must not show.
func asJSON(t *testing.T, spec *credspec.Spec) (m map[string]any) {
	t.Helper()
	b, err := json.Marshal(spec)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}
