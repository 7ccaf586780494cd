package daemon

import (
	"maps"
	"slices"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec/cache"
	"github.com/gmsa-agent/gmsa-agent/hook/containerd"
	"github.com/gmsa-agent/gmsa-agent/hook/docker"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

func ofStores(stats secrets.Stats) []agent.Store {
	list := []agent.Store{}
	for _, scheme := range slices.Sorted(maps.Keys(stats.Stores)) {
		st := stats.Stores[scheme]
		list = append(list, agent.Store{
			Scheme: scheme, Cached: st.Entries, Hits: st.Hits, Misses: st.Misses,
			Fetches: st.Fetches, Refreshes: st.Refreshes, Failures: st.Failures, Stale: st.Stale, LastStale: st.LastStale,
			LastSuccess: st.LastSuccess, LastError: st.LastError, LastErrorAt: st.LastFailure,
			Latency: agent.Latency{Last: milliseconds(st.LastLatency), Mean: milliseconds(st.MeanLatency), Max: milliseconds(st.MaxLatency)},
		})
	}
	return list
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func ofSources(stats cache.Stats) []agent.Source {
	list := []agent.Source{}
	for _, scheme := range slices.Sorted(maps.Keys(stats.Sources)) {
		st := stats.Sources[scheme]
		list = append(list, agent.Source{
			Scheme: scheme, Requests: st.Requests, Failures: st.Failures,
			LastSuccess: st.LastSuccess, LastError: st.LastError, LastErrorAt: st.LastFailure,
		})
	}
	return list
}

func ofDocuments(stats cache.Stats) []agent.Document {
	list := []agent.Document{}
	for _, d := range stats.Documents {
		of := agent.Document{Reference: d.Reference, Digest: d.Digest, Stale: d.Stale}
		if !d.Confirmed.IsZero() {
			of.Confirmed, of.Age = d.Confirmed.UTC(), int64(d.Age/time.Second)
		}
		list = append(list, of)
	}
	return list
}

func ofWatch(s containerd.Status) agent.Hook {
	return agent.Hook{
		Name: containerd.Runtime, Endpoint: s.Address, Connected: s.Connected, Since: s.Since, Error: s.LastError,
		Wrapper: s.Wrapper, Injects: s.Injects,
	}
}

func ofDocker(s docker.Status) agent.Hook {
	h := agent.Hook{
		Name: docker.Runtime, Endpoint: s.Endpoint, Connected: s.Connected, Since: s.Since, Error: s.LastError,
		Gate: s.Gate, Injects: s.Connected && !s.Gate && len(s.Places) > 0,
	}
	for _, p := range s.Places {
		h.Places = append(h.Places, agent.Place(p))
	}
	return h
}
