package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/manifest"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

var update = flag.Bool("update", false, "write the golden files")

// The documents are those that generation writes.
func TestAManifestHasTheDocumentAndNothingElse(t *testing.T) {
	documents, err := filepath.Glob("../testdata/generate/*.json")
	if err != nil || len(documents) == 0 {
		t.Fatalf("%d documents, %v", len(documents), err)
	}
	for _, file := range documents {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := credspec.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := manifest.Write(spec, "emea-webapp01")
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "write", strings.TrimSuffix(filepath.Base(file), ".json")+".yaml")
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: %s", golden, diff)
		}
		var object, document map[string]any
		if err := errors.Join(yaml.Load(got, &object), json.Unmarshal(data, &document)); err != nil {
			t.Fatal(err)
		}
		whole := map[string]any{
			"apiVersion": "windows.k8s.io/v1", "kind": "GMSACredentialSpec",
			"metadata": map[string]any{"name": "emea-webapp01"}, "credspec": document,
		}
		if diff := cmp.Diff(whole, object); diff != "" {
			t.Errorf("%s: %s", golden, diff)
		}
	}
}

// Kubernetes reads manifests as YAML 1.1, where NO and 0x1 are no strings.
func TestAManifestQuotesWhatYAMLTakesForSomethingElse(t *testing.T) {
	for _, name := range []string{"NO", "on", "y", "0x1", "1_000", "12e3", "010", "null", "~", "1:20"} {
		got, err := manifest.Write(simple(name), "x")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(got, []byte("NetBiosName: "+name+"\n")) {
			t.Errorf("%s", got)
		}
	}
}

func TestAManifestsNameIsWhatKubernetesTakes(t *testing.T) {
	for _, name := range []string{"a", "webapp-01", "a.b-c.9"} {
		if _, err := manifest.Write(simple("EMEA"), name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "WebApp", "web_app", "-a", "a-", "a..b", ".a", "a.", "ä", strings.Repeat("a", 254)} {
		if _, err := manifest.Write(simple("EMEA"), name); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func simple(netbios string) *credspec.Spec {
	d := credspec.Domain{
		DNSName: "emea.contoso.com", NetBIOSName: netbios, Forest: "contoso.com",
		SID: "S-1-5-21-2126449477-2524075714-3094792973", GUID: "244818ae-87ac-4fcd-92ec-e79e5252348a",
	}
	return credspec.Generate(d, "webapp01", nil, nil)
}
