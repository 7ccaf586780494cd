package doctor

import (
	"context"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
)

// agent is what the running agent says of itself.
func (h *Host) agent(ctx context.Context) []Finding {
	s, err := h.Agent(ctx)
	if err != nil {
		return []Finding{failed(h.Hint(err), "%v", err)}
	}
	found := []Finding{h.version(s)}
	if s.Config.Error != "" {
		found = append(found, failed("correct the file, then: "+h.Again("config validate"), "it runs with an earlier configuration, because the file's is wrong: %s", s.Config.Error))
	}
	found = append(found, h.hooks(s.Hooks)...)
	for _, source := range s.Sources {
		found = append(found, named("source "+source.Scheme, h.outcome(source.Failures, source.LastSuccess, source.LastError, source.LastErrorAt, h.Again("credspec resolve REF"))))
	}
	for _, d := range s.Documents {
		if d.Stale != "" {
			found = append(found, named("document "+d.Reference, warning("try its source: "+h.Again("credspec resolve REF"), "the last good one is used, because its source cannot be asked: %s", d.Stale)))
		}
	}
	for _, store := range s.Stores {
		found = append(found, named("store "+store.Scheme, h.outcome(store.Failures, store.LastSuccess, store.LastError, store.LastErrorAt, h.Again("secret check REF"))))
	}
	if s.CCG != nil {
		found = append(found, named("ccg instances", h.reaper(*s.CCG)))
	}
	return found
}

func (h *Host) version(s agent.Status) Finding {
	if s.Version != h.Version {
		return warning("start it anew with this one: "+h.Again("service status"), "version %s runs (process %d), and this program is version %s", s.Version, s.PID, h.Version)
	}
	return okay("version %s runs, process %d", s.Version, s.PID)
}

// hooks are the runtimes that the agent is connected to. None is no error: a
// shim wrapper may ask all the same.
func (h *Host) hooks(hooks []agent.Hook) []Finding {
	if len(hooks) == 0 {
		return []Finding{named("runtimes", warning("see containerd and docker in the configuration: "+h.Again("config show"),
			"no runtime is watched: grants end with their containers only where one is"))}
	}
	var found []Finding
	for _, hook := range hooks {
		name := hook.Name
		if !hook.Connected {
			text := hook.Endpoint + ": not connected"
			if hook.Error != "" {
				text += ": " + hook.Error
			}
			hint := "start it, or name its endpoint in the configuration: " + h.Again("config show")
			if hook.Since.IsZero() && h.Config != nil && h.Config.ContainerdAssumed() && name == "containerd" {
				found = append(found, named(name, warning(hint, "%s; nobody has said that this host has one", text)))
			} else {
				found = append(found, named(name, failed(hint, "%s", text)))
			}
			continue
		}
		found = append(found, named(name, okay("%s: connected since %s", hook.Endpoint, hook.Since.UTC().Format(time.RFC3339))))
		if name == "docker" {
			found = append(found, h.docker(hook)...)
		} else {
			found = append(found, h.wrapper(hook))
		}
	}
	return found
}

// wrapper says whether containers are asked about before HCS sees their document.
func (h *Host) wrapper(hook agent.Hook) Finding {
	const name, hint = "shim wrapper", "set it up (docs/containerd.md), start a container that asks for a gMSA, then: "
	switch {
	case hook.Wrapper:
		return named(name, okay("seen at work for %s", hook.Endpoint))
	case hook.Injects:
		return named(name, warning(hint+h.Again("doctor"), "not seen at work for %s since the agent started; documents are written on create events, as a best effort", hook.Endpoint))
	}
	return named(name, warning(hint+h.Again("doctor"), "not seen at work for %s since the agent started: without it no container there is given a grant", hook.Endpoint))
}

func (h *Host) docker(hook agent.Hook) []Finding {
	gate := named("docker gate", okay("dockerd asks it"))
	if !hook.Gate {
		gate = named("docker gate", warning("configure dockerd with it (docs/docker.md), then: "+h.Again("doctor"), "dockerd has not asked it since the agent started: containers start without being decided about"))
	}
	found := []Finding{gate}
	for _, p := range hook.Places {
		switch {
		case p.Error != "":
			found = append(found, named("docker "+p.Place, failed("see what stands there: "+h.Again("status"), "%s is not as %s has it: %s", p.Place, p.Reference, p.Error)))
		case !p.Kept:
			found = append(found, named("docker "+p.Place, failed("see what stands there: "+h.Again("status"), "what stands there is not the agent's")))
		default:
			found = append(found, named("docker "+p.Place, okay("kept as %s has it", p.Reference)))
		}
	}
	return found
}

// outcome judges by the last request: who has answered since is well.
func (h *Host) outcome(failures uint64, success time.Time, last string, lastAt time.Time, try string) Finding {
	if last != "" && lastAt.After(success) {
		return failed("try it: "+try, "the last request failed: %s", last)
	}
	if failures > 0 {
		return okay("answers; %d requests failed before", failures)
	}
	if success.IsZero() {
		return okay("not asked yet")
	}
	return okay("answers")
}

func (h *Host) reaper(s hcs.ReaperStatus) Finding {
	hint := "see whose they are: " + h.Again("ccg list")
	switch {
	case s.LastError != "" && !s.LastErrorAt.Before(s.LastLook):
		return failed(hint, "the last look at them failed: %s", s.LastError)
	case s.Unclear != "":
		return warning(hint, "the last look concluded nothing: %s", s.Unclear)
	case s.Orphaned > 0 && !s.Reaps:
		return warning("remove them: "+h.Again("ccg reap"), "%d of %d were left behind, and ccg.reap is off", s.Orphaned, s.Instances)
	}
	return okay("%d, of which %d were left behind", s.Instances, s.Orphaned)
}

// pluginChannel asks who serves what CCG's plugin host will call.
func (h *Host) pluginChannel(ctx context.Context) []Finding {
	if err := h.PluginChannel(ctx); err != nil {
		return []Finding{ofError(err, h.Hint(err))}
	}
	return []Finding{okay("the agent, or another program of an administrator, serves it")}
}
