package daemon

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook/docker"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// dockerRuntime is this host's Docker, watched or not.
type dockerRuntime struct {
	endpoint string
	enabled  config.Enabled
	met      atomic.Bool // it has answered before
}

func (r *dockerRuntime) Name() string { return docker.Runtime + " at " + r.endpoint }

// Containers implements [hcs.Runtime]. A Docker that has never answered is not
// installed if the configuration disables it, or if that is silent and there is
// no trace of Docker.
func (r *dockerRuntime) Containers(ctx context.Context) ([]hcs.Container, error) {
	ids, err := docker.Containers(ctx, r.endpoint)
	if err != nil {
		if why := r.absent(); why != "" {
			return nil, fmt.Errorf("%s: %w", why, hcs.ErrAbsent)
		}
		return nil, err
	}
	r.met.Store(true)
	list := make([]hcs.Container, 0, len(ids))
	for _, id := range ids {
		list = append(list, hcs.Container{ID: id, Place: docker.Runtime})
	}
	return list, nil
}

// absent says how it is known that there is no Docker, if it is.
func (r *dockerRuntime) absent() string {
	switch {
	case r.met.Load() || r.enabled == config.EnabledTrue:
		return ""
	case r.enabled == config.EnabledFalse:
		return "docker.enabled is false, and nothing has ever answered"
	case len(tracesOf(dockerTraces)) > 0:
		return ""
	}
	return "no " + strings.Join(dockerTraces.names(), ", no ")
}
