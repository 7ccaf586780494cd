package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook/containerd"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// reaper looks after the CCG instances of this host.
func reaper(cfg *config.Config, a *agent.Agent, watches []*containerd.Watch, log *slog.Logger) *hcs.Reaper {
	var runtimes []hcs.Runtime
	for _, w := range watches {
		runtimes = append(runtimes, containerdRuntime{w, cfg.ContainerdAssumed()})
	}
	if len(watches) == 0 {
		runtimes = append(runtimes, noRuntime{containerd.Runtime, "the configuration has none"})
	}
	runtimes = append(runtimes, &dockerRuntime{endpoint: cfg.Docker.Endpoint, enabled: cfg.Docker.Enabled})
	return hcs.NewReaper(hcs.NewService(), hcs.NewSystems(), runtimes, a, timing(cfg), log)
}

func timing(cfg *config.Config) hcs.Timing {
	return hcs.Timing{Reap: bool(cfg.CCG.Reap), Interval: cfg.CCG.Interval, Grace: cfg.CCG.Grace}
}

// noRuntime is one that the administrator says is not there.
type noRuntime struct{ name, why string }

func (r noRuntime) Name() string { return r.name }

func (r noRuntime) Containers(context.Context) ([]hcs.Container, error) {
	return nil, fmt.Errorf("%s: %w", r.why, hcs.ErrAbsent)
}

// containerdRuntime is a containerd that is watched.
type containerdRuntime struct {
	*containerd.Watch
	assumed bool // nobody has said that it is there
}

func (r containerdRuntime) Name() string { return containerd.Runtime + " at " + r.Status().Address }

// Containers implements [hcs.Runtime]. A containerd that nobody has configured,
// that has never answered and of which there is no trace is not installed. One
// that is stopped leaves traces: its containers may run on.
func (r containerdRuntime) Containers(ctx context.Context) ([]hcs.Container, error) {
	keys, err := r.Watch.Containers(ctx)
	if err != nil && r.assumed && !r.Met() {
		if traces := tracesOf(containerdTraces); len(traces) == 0 {
			return nil, fmt.Errorf("no %s: %w", strings.Join(containerdTraces.names(), ", no "), hcs.ErrAbsent)
		}
	}
	list := make([]hcs.Container, 0, len(keys))
	for _, k := range keys {
		list = append(list, hcs.Container{ID: k.ID, Place: k.Runtime + "/" + k.Namespace})
	}
	return list, err
}
