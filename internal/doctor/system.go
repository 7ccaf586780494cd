package doctor

import (
	"context"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// ccg asks whether this Windows has Container Credential Guard with plugins.
func (h *Host) ccg(context.Context) []Finding {
	switch err := h.CCG(); {
	case err == nil:
	case !h.Windows:
		return []Finding{skipped("", "%v", err)}
	default: // for want of which nothing else can work here
		return []Finding{failed("which builds have it is in docs/hcs.md; which this one is says: cmd /c ver", "%v", err)}
	}
	return []Finding{okay("this build of Windows has Container Credential Guard with plugins")}
}

// eventSource looks at the words of our events: without them Event Viewer shows
// their parameters alone.
func (h *Host) eventSource(context.Context) []Finding {
	problems, err := h.EventSource()
	if err != nil {
		return []Finding{ofError(err, h.Hint(err))}
	}
	if len(problems) > 0 {
		return []Finding{warning("gmsa-agent service install", "Event Viewer will not find the words of the agent's events: %s", strings.Join(problems, "; "))}
	}
	return []Finding{okay("registered")}
}

// membership says whose account can fetch gMSAs' passwords beside plugin users'.
func (h *Host) membership(context.Context) []Finding {
	joined, err := h.Joined()
	switch {
	case err != nil:
		return []Finding{ofError(err, "say it in domain_joined: "+h.Again("config show"))}
	case joined:
		return []Finding{okay("a member of a domain")}
	case h.Config.Policy.HostAccount == config.HostAccountRequire:
		return []Finding{failed("join it to its domain, or change policy.host_account: "+h.Again("config show"),
			"no member of a domain, and policy.host_account requires the host's own account: no container is given a gMSA")}
	}
	return []Finding{okay("no member of a domain: plugin users fetch gMSAs' passwords")}
}
