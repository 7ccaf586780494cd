package doctor

import (
	"context"
	"strings"
	"time"
)

// plugin looks at the registration, and at what comes of it when the plugin is
// activated as CCG does.
func (h *Host) plugin(ctx context.Context) []Finding {
	p, err := h.Plugin()
	if err != nil {
		return []Finding{ofError(err, h.Hint(err))}
	}
	const call, register = "plugin call", "gmsa-agent plugin register"
	if p.Nothing {
		found := warning(register, "no plugin is registered: only this host's own account, as a domain's member, can fetch gMSAs' passwords")
		if h.Config != nil {
			if joined, err := h.Joined(); err == nil && !joined {
				found = failed(register, "no plugin is registered, and this host is no member of a domain: nobody can fetch gMSAs' passwords")
			}
		}
		return []Finding{found, named(call, skipped("", "no plugin is registered"))}
	}
	broken := false
	var found []Finding
	for _, d := range p.Differences {
		if d.Broken {
			broken = true
			found = append(found, failed(d.Remedy, "%s", d.Problem))
		} else {
			found = append(found, warning(d.Remedy, "%s", d.Problem))
		}
	}
	if len(found) == 0 {
		found = append(found, okay("%s is registered as it should be", p.DLL))
	}
	if broken {
		return append(found, named(call, skipped("", "the registration is broken")))
	}
	return append(found, named(call, h.pluginCall(ctx)))
}

func (h *Host) pluginCall(ctx context.Context) Finding {
	c, err := h.PluginCall(ctx)
	if err != nil {
		return ofError(err, h.Hint(err))
	}
	if !c.Reached {
		return failed(strings.ReplaceAll(c.Remedy, "`", ""), "%s: %s", c.Result, c.Meaning)
	}
	return okay("activated in a host of its own, which reached the agent in %v", c.Took.Round(time.Millisecond))
}
