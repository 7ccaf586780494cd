package credspec

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

var emea = Domain{
	DNSName: "emea.contoso.com", NetBIOSName: "EMEA", Forest: "contoso.com",
	SID: "S-1-5-21-2126449477-2524075714-3094792973", GUID: "244818ae-87ac-4fcd-92ec-e79e5252348a",
}

// generated are documents that generation must write exactly so.
func generated() map[string]*Spec {
	others := []Member{{"logs", "emea.contoso.com", "EMEA"}, {"büro01", "fabrikam.com", "FABRIKAM"}}
	return map[string]*Spec{
		"simple":     Generate(emea, "webapp01", nil, nil),
		"additional": Generate(emea, "webapp01", others, nil),
		"plugin": Generate(emea, "webapp01", nil, &HostAccountConfig{
			PortableCcgVersion: PortableCcgVersion, PluginGUID: PluginGUID, PluginInput: "local://emea",
		}),
		"foreign-plugin": Generate(emea, "webapp01", nil, &HostAccountConfig{
			PortableCcgVersion: PortableCcgVersion, PluginGUID: "{859E1386-BDB4-49E8-85C7-3070B13920E1}",
			PluginInput: `{"credentialArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:<a&b>: #'x"}`,
		}),
	}
}

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "generate", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestAGeneratedDocumentIsWrittenTheSameWayAlways(t *testing.T) {
	for name, spec := range generated() {
		doc, err := spec.Encode()
		if err != nil {
			t.Fatal(err)
		}
		checkGolden(t, name+".json", doc)
		ecs := Plugin{GUID: "{859E1386-BDB4-49E8-85C7-3070B13920E1}", Served: true} // as a host has it that adopts it
		for _, p := range Validate(doc, WithPlugins(ecs)) {
			t.Errorf("%s: %+v", name, p)
		}
		back, err := Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		// The types print without what they must not show, so their fields are compared.
		if diff := cmp.Diff(fields(t, spec), fields(t, back)); diff != "" {
			t.Errorf("%s is read back otherwise: %s", name, diff)
		}
	}
}

func fields(t *testing.T, v any) (m map[string]any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAnAccountThatIsGivenTwiceIsListedOnce(t *testing.T) {
	once, err := Generate(emea, "webapp01", nil, nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	twice, err := Generate(emea, "webapp01", []Member{{"webapp01", emea.DNSName, emea.NetBIOSName}}, nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(once, twice) {
		t.Errorf("%s", twice)
	}
}
