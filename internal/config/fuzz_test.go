package config

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v4"
)

func FuzzParse(f *testing.F) {
	sample, err := os.ReadFile(sampleFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte("directory: {domains: {a.b: {dns: [1.2.3.4]}}}\npolicy: {allow: [{labels: {a: b}}]}"))
	f.Add([]byte("? [a]\n: *b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > MaxSize {
			t.Skip()
		}
		c, err := linux.parse("fuzz.yaml", data)
		if err != nil {
			var all *Error
			if !errors.As(err, &all) || len(all.Problems) == 0 {
				t.Fatalf("not a list of problems: %v", err)
			}
			return
		}
		shown, err := yaml.Dump(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := linux.parse("shown.yaml", shown)
		if err != nil {
			t.Fatalf("what is in effect is not a configuration: %v\n%s", err, shown)
		}
		if diff := cmp.Diff(c, again, whatIsSaid, emptyIsNil); diff != "" {
			t.Fatalf("what is in effect reads differently: %s", diff)
		}
	})
}

// emptyIsNil: YAML writes an absent list as an empty one.
var emptyIsNil = cmpopts.EquateEmpty()
