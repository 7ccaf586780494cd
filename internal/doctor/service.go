package doctor

import (
	"cmp"
	"context"
)

func (h *Host) service(ctx context.Context) []Finding {
	s, err := h.Service(ctx)
	if err != nil {
		return []Finding{ofError(err, h.Hint(err))}
	}
	if !s.Installed && len(s.Problems) == 0 {
		return []Finding{skipped("from the folder of an unpacked package: gmsa-agent service install", "the agent is not installed as this host's service")}
	}
	var found []Finding
	for _, p := range s.Problems {
		found = append(found, failed(p.Remedy, "%s", p.What))
	}
	if len(found) == 0 {
		found = append(found, okay("version %s is installed, and %s answers", s.Version, cmp.Or(s.Running, "nobody")))
	}
	return found
}
