package credspec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

var granted = credspec.HostAccountConfig{PortableCcgVersion: "1", PluginGUID: credspec.PluginGUID, PluginInput: `gmsa1."<&>\é`}

const (
	grantedInput = `"gmsa1.\"<&>\\é"`
	grantedJSON  = `{"PortableCcgVersion":"1","PluginGUID":"{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}","PluginInput":` + grantedInput + `}`
)

func TestSetHostAccountConfigChangesNothingElse(t *testing.T) {
	for doc, want := range map[string]string{
		credspectest.Document:                                                   edited(t, `"local://contoso"`, grantedInput),
		"\ufeff" + credspectest.Document:                                        "\ufeff" + edited(t, `"local://contoso"`, grantedInput),
		`{"ActiveDirectoryConfig":{}}`:                                          `{"ActiveDirectoryConfig":{"HostAccountConfig":` + grantedJSON + `}}`,
		`{"ActiveDirectoryConfig":{ "HostAccountConfig" : null , "x":1e0 }}`:    `{"ActiveDirectoryConfig":{ "HostAccountConfig" : ` + grantedJSON + ` , "x":1e0 }}`,
		"{\"x\":[1.0,\"\\u00e9\"],\r\n\"ActiveDirectoryConfig\":{ \"A\": {} }}": "{\"x\":[1.0,\"\\u00e9\"],\r\n\"ActiveDirectoryConfig\":{ \"A\": {},\"HostAccountConfig\":" + grantedJSON + " }}",
		`{"ActiveDirectoryConfig":{"HostAccountConfig":{"Extra": 1.50 }}}`:      `{"ActiveDirectoryConfig":{"HostAccountConfig":{"Extra": 1.50,` + grantedJSON[1:len(grantedJSON)-1] + ` }}}`,
		`{"ActiveDirectoryConfig":{"HostAccountConfig":{"PluginInput":"o","Extra":[]}}}`: `{"ActiveDirectoryConfig":{"HostAccountConfig":{"PluginInput":` + grantedInput +
			`,"Extra":[],"PortableCcgVersion":"1","PluginGUID":"{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}"}}}`,
	} {
		before := []byte(doc)
		got, err := credspec.SetHostAccountConfig(before, granted)
		if err != nil {
			t.Errorf("%s: %v", doc, err)
			continue
		}
		if string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", doc, got, want)
		}
		if string(before) != doc {
			t.Errorf("%s: the document itself has changed", doc)
		}
		spec, err := credspec.Parse(got)
		if err != nil {
			t.Errorf("%s: result: %v", doc, err)
		} else if diff := cmp.Diff(&granted, spec.ActiveDirectoryConfig.HostAccountConfig); diff != "" {
			t.Errorf("%s: %s", doc, diff)
		}
	}
}

func TestSetHostAccountConfigRefusesWhatHasNoOneMeaning(t *testing.T) {
	for doc, want := range map[string]string{
		`{}`:                           "line 1, column 1 (/ActiveDirectoryConfig): is missing",
		`{"ActiveDirectoryConfig":[]}`: "(/ActiveDirectoryConfig): is an array and should be an object",
		`{"ActiveDirectoryConfig":{},"ActiveDirectoryConfig":{}}`:                     "(/ActiveDirectoryConfig): stands there twice",
		`{"ActiveDirectoryConfig":{},"activeDirectoryConfig":{}}`:                     "(/activeDirectoryConfig): differs from ActiveDirectoryConfig only in case",
		`{"ActiveDirectoryConfig":{"HostAccountConfig":{},"HostAccountConfig":null}}`: "HostAccountConfig): stands there twice",
		`{"ActiveDirectoryConfig":{"hostAccountConfig":{}}}`:                          "differs from HostAccountConfig only in case",
		`{"ActiveDirectoryConfig":{"HostAccountConfig":{"pluginInput":"x"}}}`:         "differs from PluginInput only in case",
		`{"ActiveDirectoryConfig":{"HostAccountConfig":"x"}}`:                         "is a string and should be an object",
		`{"ActiveDirectoryConfig":{}`:                                                 "the document ends",
	} {
		got, err := credspec.SetHostAccountConfig([]byte(doc), granted)
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want an error with %q", doc, got, err, want)
		}
	}
	if _, err := credspec.SetHostAccountConfig([]byte(credspectest.Document), credspec.HostAccountConfig{PluginInput: "\xff"}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("an input that is not UTF-8: %v", err)
	}
	if _, err := credspec.SetHostAccountConfig([]byte(credspectest.Document), credspec.HostAccountConfig{PluginInput: strings.Repeat("x", credspec.MaxSize)}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("an input that makes the document too long: %v", err)
	}
	if _, err := credspec.SetHostAccountConfig([]byte(credspectest.Document), credspec.HostAccountConfig{PluginInput: "a\x00b"}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("an input with a NUL: %v", err)
	}
}

// The result parses, has what was set, and is otherwise the same: taken out
// again with encoding/json, all other members have their literal text.
func FuzzSetHostAccountConfig(f *testing.F) {
	for _, doc := range seeds(f) {
		f.Add([]byte(doc), "gmsa1.token")
	}
	f.Add([]byte(credspectest.Document), `"\`+"\u2028")
	f.Fuzz(func(t *testing.T, doc []byte, input string) {
		set := credspec.HostAccountConfig{PortableCcgVersion: "1", PluginGUID: credspec.PluginGUID, PluginInput: input}
		got, err := credspec.SetHostAccountConfig(doc, set)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Fatalf("error %v has no kind", err)
			}
			return
		}
		spec, err := credspec.Parse(got)
		if err != nil {
			t.Fatalf("the result does not parse: %v", err)
		}
		if diff := cmp.Diff(&set, spec.ActiveDirectoryConfig.HostAccountConfig); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(others(t, doc), others(t, got)); diff != "" {
			t.Fatal(diff)
		}
		twice, err := credspec.SetHostAccountConfig(got, set)
		if err != nil || !bytes.Equal(twice, got) {
			t.Fatalf("setting it again changes the document (%v)", err)
		}
	})
}

// others is every member's literal text, but for the three that are set.
func others(t *testing.T, doc []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	members := func(path string, object []byte, not ...string) map[string]json.RawMessage {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(object, &m); err != nil {
			t.Fatal(err)
		}
	next:
		for name, value := range m {
			for _, n := range not {
				if name == n {
					continue next
				}
			}
			out[path+"/"+name] = string(value)
		}
		return m
	}
	root := members("", bytes.TrimPrefix(doc, []byte("\ufeff")), "ActiveDirectoryConfig")
	config := members("config", root["ActiveDirectoryConfig"], "HostAccountConfig")
	if host := config["HostAccountConfig"]; host != nil && string(host) != "null" {
		members("host", host, "PortableCcgVersion", "PluginGUID", "PluginInput")
	}
	return out
}

func BenchmarkSetHostAccountConfig(b *testing.B) {
	doc := []byte(credspectest.Document)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := credspec.SetHostAccountConfig(doc, granted); err != nil {
			b.Fatal(err)
		}
	}
}
