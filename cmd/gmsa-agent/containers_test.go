package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
)

func TestAContainersDocumentIsShownBelowTheRest(t *testing.T) {
	ct := agent.Container{
		Key: hook.Key{Runtime: "containerd", Namespace: "k8s.io", ID: "a"}, Decision: agent.Granted,
		Carried: &agent.Carried{Place: `C:\config.json`, Admitted: true, Document: `{"X":{"PluginInput":"(redacted)"},"Y":"` + "\u202e" + `"}`},
	}
	var out bytes.Buffer
	if err := printContainer(&out, ct); err != nil {
		t.Fatal(err)
	}
	const want = "carries    the admitted document, in C:\\config.json\n\n{\n  \"X\": {\n    \"PluginInput\": \"(redacted)\"\n  },\n  \"Y\": \"\\u202e\"\n}\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s\nwant at its end\n%s", out.String(), want)
	}
	for want, c := range map[string]agent.Carried{
		"another document than was admitted, in x": {Place: "x", Document: "{}"},
		"the reference file://a, in x":             {Place: "x", Reference: "file://a"},
		"unknown: containerd says no":              {Error: "containerd says no"},
	} {
		if got := carriedText(c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
