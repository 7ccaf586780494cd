package main

import (
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/agent"
)

func TestStatusSaysHowOldACachedDocumentIs(t *testing.T) {
	now := time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC)
	rows := statusRows(agent.Status{
		SpecCache: agent.Cache{Entries: 3, Hits: 7, Misses: 4},
		Sources: []agent.Source{
			{Scheme: "https", Requests: 4, Failures: 1, LastSuccess: now.Add(-3 * time.Hour), LastError: "refused", LastErrorAt: now},
		},
		Documents: []agent.Document{
			{Reference: "https://host/a.json", Digest: "d1", Confirmed: now.Add(-3 * time.Hour), Age: 3 * 3600, Stale: "refused"},
			{Reference: "s3://bucket/b", Digest: "d2", Confirmed: now.Add(-5 * time.Second), Age: 5},
			{Reference: "s3://bucket/c", Digest: "d3"},
		},
	}, now)
	var text []string
	for _, row := range rows {
		text = append(text, strings.Join(row, " | "))
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{
		"cache | credential specs | 3, 7 hits, 4 misses",
		"source | https:// | 4 requests, 1 failed, last success " + stamp(now.Add(-3*time.Hour)) + ", last error " + stamp(now) + ": refused",
		"document | https://host/a.json | confirmed 3h ago, " + stamp(now.Add(-3*time.Hour)) + ", sha256:d1; stale: refused",
		"document | s3://bucket/b | confirmed 5s ago, " + stamp(now.Add(-5*time.Second)) + ", sha256:d2",
		"document | s3://bucket/c | confirmed in the future, by this host's clock, sha256:d3",
	} {
		if !strings.Contains(all+"\n", want+"\n") {
			t.Errorf("no row %q in:\n%s", want, all)
		}
	}
}

func TestStatusOfAHookThatWasNeverConnectedHasNoTime(t *testing.T) {
	h := agent.Hook{Name: "containerd", Endpoint: "/run/x.sock", Error: "nobody listens"}
	if got, want := hookText(h), "/run/x.sock, not connected: nobody listens"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	h.Since = time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC)
	if got, want := hookText(h), "/run/x.sock, not connected since "+stamp(h.Since)+": nobody listens"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestStatusSaysHowItGoesWithAStore(t *testing.T) {
	now := time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC)
	at := stamp(now)
	for _, test := range []struct {
		store agent.Store
		want  string
	}{
		{agent.Store{InUse: 1}, "1 secret in use, 0 cached, 0 fetches, 0 failed"},
		{
			agent.Store{
				InUse: 3, Cached: 2, Hits: 75, Misses: 25, Fetches: 30, Refreshes: 12, LastSuccess: now,
				Latency: agent.Latency{Last: 21.4, Mean: 18.6, Max: 230},
			},
			"3 secrets in use, 2 cached, 75% of 100 answered from the cache, 30 fetches (12 ahead of use) of 21 ms (mean 19, at most 230), 0 failed, last success " + at,
		},
		{
			agent.Store{InUse: 3, Cached: 3, Misses: 4, Fetches: 4, Failures: 4, Stale: 4, LastStale: now, LastError: "vault is sealed", LastErrorAt: now},
			"3 secrets in use, 3 cached, 0% of 4 answered from the cache, 4 fetches, 4 answered with stale secrets, last " + at + ", 4 failed, last error " + at + ": vault is sealed",
		},
	} {
		if got := storeText(test.store); got != test.want {
			t.Errorf("%q\nwant %q", got, test.want)
		}
	}
}
