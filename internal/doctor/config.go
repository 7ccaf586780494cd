package doctor

import (
	"context"
	"errors"
	"io/fs"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

func (h *Host) configuration(context.Context) []Finding {
	if h.Config == nil {
		return []Finding{failed(h.Hint(h.ConfigError), "%v", h.ConfigError)}
	}
	if h.Config.Path() == "" {
		return []Finding{okay("no file at %s: the defaults are in effect", config.DefaultPath())}
	}
	if err := h.Trusted(); err != nil {
		return []Finding{failed("give it to administrators alone (docs/configuration.md, Permissions), then: "+h.Again("doctor"), "%v", err)}
	}
	return []Finding{okay("%s: valid, and for administrators alone to change", h.Config.Path())}
}

// folder looks at one that is the agent's alone.
func (h *Host) folder(path string) func(context.Context) []Finding {
	return func(context.Context) []Finding {
		err := h.Folder(path)
		if errors.Is(err, fs.ErrNotExist) {
			return []Finding{skipped("", "%s is not there: the agent makes it when it first runs", path)}
		}
		if err != nil {
			return []Finding{failed("give it to administrators alone (docs/configuration.md, Permissions), then: "+h.Again("doctor"), "%v", err)}
		}
		return []Finding{okay("%s: for administrators alone", path)}
	}
}
