// Package catalog is the whole table of events: the agent's and those that the
// CCG plugin's DLL writes. The message resource and the documentation have all
// of them; a program that writes events needs its own alone.
package catalog

import (
	"slices"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
)

// Events are all events of our source, in the order of their IDs.
func Events() []eventlog.Event {
	all := slices.Concat(eventlog.Table, ccgplugin.Events())
	slices.SortFunc(all, func(a, b eventlog.Event) int { return int(a.ID) - int(b.ID) })
	return all
}
