package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/agent"
)

func (s *session) statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "show the running agent: channels, hooks, sources, stores, configuration",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			var status agent.Status
			if err := s.ask(c, agent.VerbStatus, nil, &status); err != nil {
				return err
			}
			return s.answer(c, status, func(w io.Writer) error {
				return table(w, statusRows(status, time.Now()))
			})
		},
	}
}

// statusRows are rows of what, which and how.
func statusRows(status agent.Status, now time.Time) [][]string {
	rows := [][]string{
		{"agent", status.Version, fmt.Sprintf("process %d, up %s", status.PID, age(now.Sub(status.Started)))},
		{"config", "applied", stamp(status.Config.Applied) + ", " + cmp.Or(status.Config.File, "the defaults")},
	}
	if status.Config.Error != "" {
		rows = append(rows, []string{"config", "not applied", status.Config.Error})
	}
	for _, ch := range status.Channels {
		rows = append(rows, []string{"channel", ch.Name, ch.Endpoint})
	}
	for _, h := range status.Hooks {
		rows = append(rows, []string{"hook", h.Name, hookText(h)})
		for _, p := range h.Places {
			rows = append(rows, []string{h.Name, p.Place, placeText(p)})
		}
	}
	rows = append(rows,
		[]string{"grants", "live", fmt.Sprint(status.Grants)},
		[]string{"cache", "plugin users", fmt.Sprintf("%d, %d hits, %d misses", status.Cache.Entries, status.Cache.Hits, status.Cache.Misses)},
		[]string{"cache", "credential specs", fmt.Sprintf("%d, %d hits, %d misses", status.SpecCache.Entries, status.SpecCache.Hits, status.SpecCache.Misses)},
	)
	for _, source := range status.Sources {
		rows = append(rows, []string{"source", source.Scheme + "://", fmt.Sprintf("%d requests, ", source.Requests) +
			outcomes(source.Failures, source.LastSuccess, source.LastError, source.LastErrorAt)})
	}
	for _, d := range status.Documents {
		rows = append(rows, []string{"document", d.Reference, documentText(d)})
	}
	for _, store := range status.Stores {
		rows = append(rows, []string{"store", store.Scheme + "://", storeText(store)})
	}
	if status.CCG != nil {
		rows = append(rows, []string{"ccg", "instances", ccgText(*status.CCG)})
	}
	return append(rows, []string{"audit", "trail", status.AuditTrail})
}

func hookText(h agent.Hook) string {
	state := "not connected"
	if h.Connected {
		state = "connected"
	}
	text := h.Endpoint + ", " + state
	if !h.Since.IsZero() {
		text += " since " + stamp(h.Since)
	}
	if h.Gate {
		text += ", asked by the gate"
	}
	if h.Injects {
		text += ", injecting on create events"
	}
	if h.Error != "" {
		text += ": " + h.Error
	}
	return text
}

// placeText says what stands where a runtime reads a credential spec.
func placeText(p agent.Place) string {
	text := p.Reference + ", " + counted(p.Containers, "container")
	switch {
	case !p.Kept:
		text += ", not there"
	case !p.Written.IsZero():
		text += ", written " + stamp(p.Written)
	default:
		text += ", there"
	}
	if p.Error != "" {
		text += ": " + p.Error
	}
	return text
}

// outcomes says how it went with a source or a store.
func outcomes(failures uint64, success time.Time, last string, lastAt time.Time) string {
	text := fmt.Sprintf("%d failed", failures)
	if !success.IsZero() {
		text += ", last success " + stamp(success)
	}
	if last != "" {
		text += ", last error " + stamp(lastAt) + ": " + last
	}
	return text
}

// storeText says how it goes with a store, its answers first.
func storeText(st agent.Store) string {
	text := fmt.Sprintf("%s in use, %d cached", counted(st.InUse, "secret"), st.Cached)
	if asked := st.Hits + st.Misses; asked > 0 {
		text += fmt.Sprintf(", %.0f%% of %d answered from the cache", 100*float64(st.Hits)/float64(asked), asked)
	}
	text += fmt.Sprintf(", %d fetches", st.Fetches)
	if st.Refreshes > 0 {
		text += fmt.Sprintf(" (%d ahead of use)", st.Refreshes)
	}
	if st.Latency.Max > 0 {
		text += fmt.Sprintf(" of %.0f ms (mean %.0f, at most %.0f)", st.Latency.Last, st.Latency.Mean, st.Latency.Max)
	}
	if st.Stale > 0 {
		text += fmt.Sprintf(", %d answered with stale secrets, last %s", st.Stale, stamp(st.LastStale))
	}
	return text + ", " + outcomes(st.Failures, st.LastSuccess, st.LastError, st.LastErrorAt)
}

// documentText says how old a cached credential spec is.
func documentText(d agent.Document) string {
	text := "confirmed in the future, by this host's clock"
	if !d.Confirmed.IsZero() {
		text = fmt.Sprintf("confirmed %s ago, %s", age(time.Duration(d.Age)*time.Second), stamp(d.Confirmed))
	}
	text += ", sha256:" + d.Digest
	if d.Stale != "" {
		text += "; stale: " + d.Stale
	}
	return text
}
