package service

import (
	"encoding/json"
	"strings"
	"testing"
)

func FuzzParseSums(f *testing.F) {
	sum := strings.Repeat("0a", 32)
	for _, seed := range []string{"", sum + "  gmsa-agent.exe\n", sum + " *shim/x.exe\r\n", sum + "\n", "x  y\n", sum + "  a\n" + sum + "  ./a\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		sums, err := parseSums(text)
		for name, sum := range sums {
			if err == nil && (name == "" || len(sum) != 64) {
				t.Errorf("%q has the digest %q", name, sum)
			}
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"format":1,"before":{"made":null}}`,
		`{"format":1,"current":{"version":"1","folder":"/a/versions/1","files":[{"name":"x","sha256":"","stable":"/b"}],"services":[]},"before":{"made":["/a"],"stable":{"/b":"0-b"}}}`,
		`{"format":1,"current":{"version":"1","folder":"/etc","files":[],"services":[]},"before":{"made":[]}}`,
		`{"format":1,"pending":{"operation":"install","to":{"version":"1","folder":"/a/versions/1","files":[{"name":"../x","sha256":""}],"services":[]}},"before":{"made":[]}}`,
		`{"format":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRecord(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecord(again); err != nil {
			t.Errorf("%s\nis not read again: %v", again, err)
		}
	})
}
