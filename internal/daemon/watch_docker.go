package daemon

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook/docker"
	"github.com/gmsa-agent/gmsa-agent/hook/docker/gate"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// watchDocker makes the watch of Docker and has it answer the gate.
func (d *daemon) watchDocker(cfg *config.Config) {
	if cfg.Docker.Enabled == config.EnabledFalse {
		return
	}
	d.docker = docker.New(docker.Config{
		Endpoint: cfg.Docker.Endpoint, Root: cfg.Docker.Root, StateDir: cfg.StateDir, Same: sameSpec,
		Quiet: cfg.Docker.Enabled == config.EnabledAuto,
	}, dockerSpecs(cfg.Docker), d.agent, d.log)
	d.agent.Handle(docker.VerbCreate, answer("what a container asks for", func(ctx context.Context, a docker.Ask) error { return d.docker.Create(ctx, a) }))
	d.agent.Handle(docker.VerbStart, answer("what a container asks for", func(ctx context.Context, a docker.Ask) error { return d.docker.Start(ctx, a, "") }))
	d.agent.Handle(docker.VerbFinished, answer("what became of a request", func(ctx context.Context, f docker.Finished) error { return d.docker.Finished(ctx, f) }))
}

// answer is a verb whose answer says nothing but yes.
func answer[T any](what string, f func(context.Context, T) error) agent.Verb {
	return func(ctx context.Context, body json.RawMessage) (any, error) {
		var in T
		if err := control.Decode(body, what, &in); err != nil {
			return nil, err
		}
		return nil, f(ctx, in)
	}
}

func dockerSpecs(c config.Docker) []docker.Spec {
	var specs []docker.Spec
	for _, name := range slices.Sorted(maps.Keys(c.Specs)) {
		s := c.Specs[name]
		refresh := c.Refresh.Remote
		if ref, err := credspec.ParseRef(s.Reference); err == nil {
			switch ref.Scheme {
			case "file", "registry":
				refresh = c.Refresh.Local
			case "https":
				refresh = c.Refresh.HTTPS
			}
		}
		specs = append(specs, docker.Spec{Name: name, Reference: s.Reference, Secret: s.Secret, Registry: bool(s.Registry), Refresh: refresh})
	}
	return specs
}

// sameSpec says whether two references name the same credential spec.
func sameSpec(a, b string) bool {
	x, err := credspec.ParseRef(a)
	if err != nil {
		return false
	}
	y, err := credspec.ParseRef(b)
	return err == nil && x == y
}

// Gate is what the configuration says of the gate.
func Gate(cfg *config.Config) gate.Config {
	return gate.Config{Endpoint: cfg.Docker.Gate.Endpoint, Docker: cfg.Docker.Endpoint, Control: cfg.Channels.Control.Endpoint}
}
