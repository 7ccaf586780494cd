package daemon

import (
	"maps"
	"slices"

	"github.com/gmsa-agent/gmsa-agent/hook/containerd"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

func ofStores(stats secrets.Stats) []agent.Store {
	list := []agent.Store{}
	for _, scheme := range slices.Sorted(maps.Keys(stats.Stores)) {
		st := stats.Stores[scheme]
		list = append(list, agent.Store{
			Scheme: scheme, Fetches: st.Fetches, Failures: st.Failures,
			LastSuccess: st.LastSuccess, LastError: st.LastError, LastErrorAt: st.LastFailure,
		})
	}
	return list
}

func ofWatch(s containerd.Status) agent.Hook {
	return agent.Hook{
		Name: containerd.Runtime, Endpoint: s.Address, Connected: s.Connected, Since: s.Since, Error: s.LastError,
		Wrapper: s.Wrapper, Injects: s.Injects,
	}
}
