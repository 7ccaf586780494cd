package credspec

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestStrikeLeavesNothingThatAPluginIsTold(t *testing.T) {
	const before = `{ "CmsPlugins":["ActiveDirectory"],"X":1.50,"ActiveDirectoryConfig":{"GroupManagedServiceAccounts":[],"HostAccountConfig":`
	for host, want := range map[string]string{
		`{"PortableCcgVersion":"1","PluginGUID":"{G}","PluginInput":"canary"}`:      `{"PortableCcgVersion":"1","PluginGUID":"{G}","PluginInput":"(redacted)"}`,
		`{ "PluginInput" : "can\u0061ry" , "PluginGUID":"{G}","More":{"canary":1}}`: `{ "PluginInput" : "(redacted)" , "PluginGUID":"{G}","More":"(redacted)"}`,
		`{"PluginGUID":"{G}"}`: `{"PluginGUID":"{G}"}`,
		`null`:                 `null`,
	} {
		got, err := Strike([]byte(before + host + `}}`))
		if err != nil || string(got) != before+want+`}}` {
			t.Errorf("%s: %v\n got %s\nwant %s", host, err, got, before+want+`}}`)
		}
	}
	for _, doc := range []string{`{}`, `{"CmsPlugins":["ActiveDirectory"]}`} {
		if got, err := Strike([]byte(doc)); err != nil || string(got) != doc {
			t.Errorf("%s: %s, %v", doc, got, err)
		}
	}
	for _, doc := range []string{``, `canary`, before + `{"PluginInput":"canary","plugininput":"canary"}}}`, before + `{"PluginInput":"canary","PluginInput":"canary"}}}`} {
		got, err := Strike([]byte(doc))
		if !errors.Is(err, fault.ErrMalformed) || got != nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %s, %v", doc, got, err)
		}
	}
}

// What is struck has the same meaning but for what was struck.
func FuzzStrike(f *testing.F) {
	f.Add([]byte(`{"ActiveDirectoryConfig":{"HostAccountConfig":{"PluginGUID":"{G}","PluginInput":"x","y":[1]}}}`))
	f.Add([]byte(`{"ActiveDirectoryConfig":{"HostAccountConfig":{}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := Strike(data)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Fatalf("error %v has no kind", err)
			}
			return
		}
		before, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		after, err := Parse(out)
		if err != nil {
			t.Fatalf("%s became %s: %v", data, out, err)
		}
		if h := after.ActiveDirectoryConfig.HostAccountConfig; h != nil && h.PluginInput != "" && h.PluginInput != Struck {
			t.Fatalf("left: %q", h.PluginInput)
		}
		if before.DomainJoinConfig != after.DomainJoinConfig {
			t.Fatal("something else changed")
		}
	})
}
