package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

func TestAReferenceIsShownWithoutWhatMayBeSecret(t *testing.T) {
	const canary = "Pa55word-canary"
	tests := map[string]string{
		"file://web app.json":                       `"file://web app.json"`,
		"arn:aws:s3:::bucket/key":                   `"arn:aws:s3:::bucket/key"`,
		"oci://r.example/specs/web@sha256:00":       `"oci://r.example/specs/web@sha256:00"`,
		"https://u:" + canary + "@h.example/x.json": `"https://h.example/x.json"`,
		"https://h.example/x?sig=" + canary:         `"https://h.example/x?…"`,
		"credentialspec=https://" + canary + "@h/x": `"credentialspec=https://h/x"`,
		"raw://" + canary:                           "that it brings itself (21 bytes)",
		"credentialspec:RAW://" + canary:            "that it brings itself (36 bytes)",
		" \ufeff{\"a\":\"" + canary + "\"}":         "that it brings itself (26 bytes)",
		"[\"" + canary + "\"]":                      "that it brings itself (19 bytes)",
		"file://" + strings.Repeat("ä", 300):        `"file://` + strings.Repeat("ä", 196) + `…"`,
	}
	for ref, want := range tests {
		if got := shown(ref); got != want {
			t.Errorf("shown(%q) = %s, want %s", ref, got, want)
		}
	}
}

func TestARefusalIsOneBoundedLine(t *testing.T) {
	r := &refusal{
		key:   hook.Key{Namespace: "default", ID: "web1"},
		ref:   "file://" + strings.Repeat("x", 5000),
		cause: errors.Join(errors.New("a\x1b[31m\tb"), errors.New(strings.Repeat("y", 5000))),
		next:  "gmsa-agent status",
	}
	got := r.Error()
	if len(got) > 1000 || strings.ContainsAny(got, "\n\r\t\x1b") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	for _, want := range []string{"default/web1", "file://xxx", "a [31m b; yyy", "next: gmsa-agent status"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}
