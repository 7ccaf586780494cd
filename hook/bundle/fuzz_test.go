package bundle_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
)

var seeds = []string{
	`{}`,
	`null`,
	`{"ociVersion":"1.2.1","process":{"args":["a"],"rlimits":null},"windows":{"layerFolders":["x"],"credentialSpec":"file://a"}}`,
	`{"Windows":{"credentialSpec":{"a":[1,2.50,{"b":"}"}]}},"windows":null,"WINDOWS":{"CREDENTIALSPEC":true}}`,
	`{"window` + "\u017f" + `":{"credential` + "\u017f" + `pec":"x"},"annotations":{"a":"\ud800"}}`,
	" {\n\t\"a\": -1.50e+3 , \"windows\" : { \"credentialSpec\" : null , \"credentialSpec\":\"\\\"\" } }\n trailing",
}

// decode decodes as hcsshim and runc do.
func decode(config []byte) (*specs.Spec, error) {
	var spec specs.Spec
	err := json.NewDecoder(bytes.NewReader(config)).Decode(&spec)
	return &spec, err
}

func FuzzReadMissesNothingThatTheShimTakes(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		spec, err := decode(config)
		if err != nil {
			return // the shim refuses it, whatever Read says
		}
		asked, err := bundle.Read(config)
		if err != nil {
			t.Fatalf("the shim takes it, Read does not: %v", err)
		}
		if diff := cmp.Diff(spec.Annotations, asked.Annotations); diff != "" {
			t.Error(diff)
		}
		var credentialSpec any
		if spec.Windows != nil {
			credentialSpec = spec.Windows.CredentialSpec
		}
		switch want := credentialSpec.(type) {
		case string:
			if asked.CredentialSpec != want {
				t.Errorf("got %q, want %q", asked.CredentialSpec, want)
			}
		case nil:
			if asked.CredentialSpec != "" {
				t.Errorf("got %q, want nothing", asked.CredentialSpec)
			}
		default:
			if asked.CredentialSpec == "" {
				t.Errorf("got nothing, want the text of %v", want)
			}
		}
	})
}

func FuzzSetCredentialSpecSetsThatAndNothingElse(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed), `{"CmsPlugins":["ActiveDirectory"]}`)
	}
	f.Add([]byte(`{}`), "\u2028<&>\"\\\x00\ufeff")
	f.Fuzz(func(t *testing.T, config []byte, document string) {
		result, err := bundle.SetCredentialSpec(config, []byte(document))
		before, decodeErr := decode(config)
		if err != nil {
			if decodeErr == nil && utf8.ValidString(document) && !isNull(config) && len(result) < bundle.MaxSize/2 {
				t.Fatalf("refused what the shim takes: %v", err)
			}
			return
		}
		if n := countCredentialSpecs(t, result); n != 1 {
			t.Fatalf("%d credential specs in %s", n, result)
		}
		if diff := cmp.Diff(others(t, config), others(t, result)); diff != "" {
			t.Fatalf("something else changed in %s: %s", result, diff)
		}
		if decodeErr != nil {
			return
		}
		after, err := decode(result)
		if err != nil {
			t.Fatalf("the shim no longer takes it: %v", err)
		}
		if after.Windows == nil || after.Windows.CredentialSpec != document {
			t.Fatalf("the shim sees another document in %s", result)
		}
		if before.Windows == nil {
			before.Windows = &specs.Windows{}
		}
		before.Windows.CredentialSpec, after.Windows.CredentialSpec = nil, nil
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}

func isNull(config []byte) bool {
	var value any
	return json.NewDecoder(bytes.NewReader(config)).Decode(&value) == nil && value == nil
}

// walk calls visit with each member of the first value of text, which is an
// object; it finds them in another way than the package does.
func walk(t *testing.T, text []byte, visit func(key string, value json.RawMessage)) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		visit(key.(string), value)
	}
}

func countCredentialSpecs(t *testing.T, config []byte) (n int) {
	t.Helper()
	walk(t, config, func(key string, value json.RawMessage) {
		if !strings.EqualFold(key, "windows") || value[0] != '{' {
			return
		}
		walk(t, value, func(key string, _ json.RawMessage) {
			if strings.EqualFold(key, "credentialSpec") {
				n++
			}
		})
	})
	return n
}

// others lists every member but windows.credentialSpec, in order, with its literal text.
func others(t *testing.T, config []byte) (list []string) {
	t.Helper()
	walk(t, config, func(key string, value json.RawMessage) {
		if !strings.EqualFold(key, "windows") {
			list = append(list, key+"="+string(value))
			return
		}
		if value[0] != '{' {
			return
		}
		walk(t, value, func(key string, value json.RawMessage) {
			if !strings.EqualFold(key, "credentialSpec") {
				list = append(list, "windows."+key+"="+string(value))
			}
		})
	})
	return list
}
