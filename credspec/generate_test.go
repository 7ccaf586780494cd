package credspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
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

func TestAManifestHasTheDocumentAndNothingElse(t *testing.T) {
	for name, spec := range generated() {
		manifest, err := spec.Manifest("emea-webapp01")
		if err != nil {
			t.Fatal(err)
		}
		checkGolden(t, name+".yaml", manifest)
		var object map[string]any
		if err := yaml.Load(manifest, &object); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"apiVersion": "windows.k8s.io/v1", "kind": "GMSACredentialSpec",
			"metadata": map[string]any{"name": "emea-webapp01"}, "credspec": fields(t, spec),
		}
		if diff := cmp.Diff(want, object); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
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

// Kubernetes reads manifests as YAML 1.1, where NO and 0x1 are no strings.
func TestAManifestQuotesWhatYAMLTakesForSomethingElse(t *testing.T) {
	for _, name := range []string{"NO", "on", "y", "0x1", "1_000", "12e3", "010", "null", "~", "1:20"} {
		d := emea
		d.NetBIOSName = name
		manifest, err := Generate(d, "webapp01", nil, nil).Manifest("x")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(manifest, []byte("NetBiosName: "+name+"\n")) {
			t.Errorf("%s", manifest)
		}
	}
}

func TestAManifestsNameIsWhatKubernetesTakes(t *testing.T) {
	spec := Generate(emea, "webapp01", nil, nil)
	for _, name := range []string{"a", "webapp-01", "a.b-c.9"} {
		if _, err := spec.Manifest(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "WebApp", "web_app", "-a", "a-", "a..b", ".a", "a.", "ä", string(bytes.Repeat([]byte("a"), 254))} {
		if _, err := spec.Manifest(name); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
