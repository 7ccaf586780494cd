package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// DefaultEndpoint is where Docker's API is by default.
const DefaultEndpoint = client.DefaultDockerHost

// defaultOS is what this platform's Docker runs, until it has said so itself.
const defaultOS = runtime.GOOS

// callTimeout bounds one call of Docker's API. An inspection takes two
// milliseconds, and waits while the same container is started or removed.
const callTimeout = 10 * time.Second

// engine is a connection to Docker.
type engine interface {
	info(ctx context.Context) (info, error)
	inspect(ctx context.Context, id string) (Container, error)
	list(ctx context.Context) (ids []string, err error)
	events(ctx context.Context, since time.Time) (<-chan event, <-chan error)
	Close() error
}

type info struct {
	root, os string
	gated    bool
}

// Container is what Docker says of a container.
type Container struct {
	Ask
	Running  bool      // or being restarted
	Restarts bool      // Docker may start it by itself
	Started  time.Time // last; zero: never
}

// event is one of Docker's, of a container.
type event struct {
	action events.Action
	id     string
	labels map[string]string
	at     time.Time
}

// Client is Docker's API as this package and the gate need it.
type Client struct{ *client.Client }

// Connect returns a client, which connects when it is first used.
func Connect(endpoint string) (*Client, error) {
	c, err := client.New(client.WithHost(endpoint))
	if err != nil {
		return nil, fmt.Errorf("endpoint of Docker %q: %w: %w", endpoint, fault.ErrMalformed, err)
	}
	return &Client{c}, nil
}

func connect(endpoint string) (engine, error) { return Connect(endpoint) }

// explain gives an error of the client its kind.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case cerrdefs.IsNotFound(err):
		return fmt.Errorf("%w: %w", fault.ErrNotFound, err)
	case cerrdefs.IsPermissionDenied(err), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", fault.ErrDenied, err)
	}
	return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
}

func (c *Client) info(ctx context.Context) (info, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.Info(ctx, client.InfoOptions{})
	if err != nil {
		return info{}, explain(err)
	}
	return info{root: r.Info.DockerRootDir, os: r.Info.OSType, gated: slices.Contains(r.Info.Plugins.Authorization, Plugin)}, nil
}

func (c *Client) inspect(ctx context.Context, id string) (Container, error) { return c.Look(ctx, id) }

// Look inspects the container with that name, ID, or beginning of an ID. One that
// is not there is fault.ErrNotFound.
func (c *Client) Look(ctx context.Context, id string) (Container, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return Container{}, explain(err)
	}
	return ofInspect(r.Container)
}

func ofInspect(r container.InspectResponse) (Container, error) {
	if r.ID == "" || r.Config == nil || r.HostConfig == nil || r.State == nil {
		return Container{}, fmt.Errorf("the answer of Docker about a container says too little: %w", fault.ErrUnavailable)
	}
	started, _ := time.Parse(time.RFC3339Nano, r.State.StartedAt)
	if started.Year() < 2000 {
		started = time.Time{} // Docker's word for never is the year 1
	}
	return Container{
		Ask:      NewAsk(r.ID, r.Name, r.Config.Image, r.Config.Labels, r.HostConfig.SecurityOpt),
		Running:  r.State.Running || r.State.Restarting,
		Restarts: r.HostConfig.RestartPolicy.Name != "" && r.HostConfig.RestartPolicy.Name != container.RestartPolicyDisabled,
		Started:  started,
	}, nil
}

func (c *Client) list(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := c.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, explain(err)
	}
	ids := make([]string, len(r.Items))
	for i, item := range r.Items {
		ids[i] = item.ID
	}
	return ids, nil
}

func (c *Client) events(ctx context.Context, since time.Time) (<-chan event, <-chan error) {
	filters := client.Filters{}.Add("type", string(events.ContainerEventType))
	for _, action := range []events.Action{events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy, events.ActionUpdate} {
		filters = filters.Add("event", string(action))
	}
	stream := c.Events(ctx, client.EventsListOptions{
		Since: fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()), Filters: filters,
	})
	out, errs := make(chan event), make(chan error, 1)
	go func() {
		for {
			select {
			case m := <-stream.Messages:
				select {
				case out <- event{m.Action, m.Actor.ID, m.Actor.Attributes, time.Unix(0, m.TimeNano)}:
				case <-ctx.Done():
				}
			case err := <-stream.Err:
				if err == nil {
					err = ctx.Err()
				}
				errs <- explain(err)
				return
			}
		}
	}()
	return out, errs
}

// Follow gives each container that is created, with its labels, and each that is
// gone to f, until the stream ends. Ready is called when it delivers.
func (c *Client) Follow(ctx context.Context, ready func(), f func(id string, labels map[string]string, gone bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, errs := c.events(ctx, time.Now())
	ready()
	for {
		select {
		case e := <-messages:
			switch e.action {
			case events.ActionCreate:
				f(e.id, e.labels, false)
			case events.ActionDestroy:
				f(e.id, nil, true)
			}
		case err := <-errs:
			return err
		}
	}
}
