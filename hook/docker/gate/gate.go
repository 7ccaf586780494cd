// Package gate is the authorization plugin that dockerd asks about every request:
// the one way there is to do something before Docker starts a container, and to
// say in Docker's own error why it may not.
//
// It is a process of its own, beside the agent. dockerd refuses every request
// while a plugin does not answer, and a container without a gMSA must start
// whether the agent is there or not. So the gate looks at each request by itself,
// lets pass what has nothing to do with gMSAs, and asks the agent about the rest;
// what the agent does not answer in time is refused.
//
// It knows Docker's API as far as package docker reads it. It refuses to know what
// a credential spec is, holds no secret, and writes nothing.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook/docker"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// Config says where the gate listens and whom it asks.
type Config struct {
	Endpoint string // of the gate: pipe name or socket path; empty: the platform's
	Docker   string // Docker's API; empty: the platform's
	Control  string // the agent's control channel; empty: the platform's
	// Announce is the folder in which dockerd looks for plugins that have no
	// socket; empty: the platform's, and none where sockets are found.
	Announce string
}

// The bounds of what the gate does for containers that ask.
const (
	// agentTimeout is how long the agent may take. It gives up after 15 seconds by
	// itself, and its reason is better than the gate's. dockerd waits without end,
	// and docker with it.
	agentTimeout = 18 * time.Second
	// maxAsking bounds the questions that are under way. It is less than the
	// connections that the endpoint has, so that requests without a gMSA do not
	// wait behind those with one.
	maxAsking = channel.MaxConns / 2
	// queueTimeout is how long a question waits for its turn.
	queueTimeout = 5 * time.Second
)

// looker says what Docker knows of a container.
type looker interface {
	Look(ctx context.Context, id string) (docker.Container, error)
	Follow(ctx context.Context, ready func(), f func(id string, labels map[string]string, gone bool)) error
}

// Gate decides about requests. It is safe for concurrent use.
type Gate struct {
	log    *slog.Logger
	docker looker
	dial   func(context.Context) (net.Conn, error)
	asking chan struct{}
	known  *known

	mu       sync.Mutex
	starting map[string][]started // by the name in the request
}

// started is a start that is under way.
type started struct {
	id    string // of the container that was looked at
	asked bool   // the agent was
}

func newGate(d looker, dial func(context.Context) (net.Conn, error), log *slog.Logger) *Gate {
	return &Gate{log: log, docker: d, dial: dial, asking: make(chan struct{}, maxAsking), known: newKnown(), starting: map[string][]started{}}
}

// before decides about a request. The error is what the user reads.
func (g *Gate) before(ctx context.Context, r request) error {
	call := docker.ParseCall(r.Method, r.URI)
	switch call.Verb {
	case docker.Create:
		return g.create(ctx, call, r)
	case docker.Start, docker.Restart:
		return g.start(ctx, call)
	case docker.Build:
		// Docker starts a build's containers without asking, so none of them could
		// be admitted.
		if len(call.Options) > 0 {
			return fmt.Errorf("a build's containers get no gMSA, because Docker asks nobody before it starts them: build without --security-opt credentialspec: %w", fault.ErrDenied)
		}
	}
	return nil
}

// create decides about a container that is to be created. A body that dockerd does
// not show, because it is too long, or that cannot be read passes: the container
// is looked at again before it is started, and nothing comes of one that is not
// started.
func (g *Gate) create(ctx context.Context, call docker.Call, r request) error {
	body, err := r.body()
	if err != nil || len(body) == 0 {
		return nil
	}
	ask, err := docker.ParseCreate(body)
	if err != nil || !ask.Asks() {
		return nil
	}
	ask.Name = call.Name
	return g.ask(ctx, docker.VerbCreate, ask)
}

// start decides about a container that is to be started. One that is known not to
// ask costs nothing; of every other Docker itself is asked, by the name in the
// request: its options are what they were at its creation.
func (g *Gate) start(ctx context.Context, call docker.Call) error {
	if g.known.silent(call.Container) {
		return nil
	}
	c, err := g.docker.Look(ctx, call.Container)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return nil // Docker says it in its own words
	case err != nil:
		return fmt.Errorf("whether the container asks for a gMSA cannot be found out from Docker: %w", err)
	case !c.Asks():
		g.known.add(c.ID)
		if c.ID != call.Container {
			g.begin(call.Container, started{id: c.ID})
		}
		return nil
	}
	ask := c.Ask
	ask.Restart = call.Verb == docker.Restart
	g.begin(call.Container, started{c.ID, true})
	if err = g.ask(ctx, docker.VerbStart, ask); err != nil {
		g.finished(call.Container)
	}
	return err
}

// maxStarting bounds the starts that are under way. dockerd does not show the end of
// one that another plugin has refused.
const maxStarting = 4096

func (g *Gate) begin(name string, s started) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.starting) >= maxStarting {
		clear(g.starting)
	}
	list := append(g.starting[name], s)
	g.starting[name] = list[max(0, len(list)-maxOfOne):]
}

// maxOfOne is how many starts of one container are told apart.
const maxOfOne = 8

// finished takes a start out of those under way.
func (g *Gate) finished(name string) (s started, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.starting[name]
	if len(list) == 0 {
		return started{}, false
	}
	if len(list) == 1 {
		delete(g.starting, name)
	} else {
		g.starting[name] = list[1:]
	}
	return list[0], true
}

// after sees what became of a request. Nothing can be refused any more.
func (g *Gate) after(ctx context.Context, r request) {
	call := docker.ParseCall(r.Method, r.URI)
	switch call.Verb {
	case docker.Create:
		g.createdAs(ctx, r)
	case docker.Start, docker.Restart:
		s, ok := g.finished(call.Container)
		if ok && s.asked {
			g.tell(ctx, docker.Finished{ID: s.id, Status: r.Status})
		}
		if ok && s.id != call.Container {
			g.compare(ctx, call.Container, s)
		}
	}
}

// compare looks whether a name still is the container's that was looked at. If it
// became another's in between, that one was started without a question, and the
// agent is told: nobody can refuse it any more.
func (g *Gate) compare(ctx context.Context, name string, s started) {
	c, err := g.docker.Look(ctx, name)
	if err == nil && c.ID != s.id && c.Asks() {
		g.tell(ctx, docker.Finished{ID: c.ID, Unasked: &c.Ask})
	}
}

// createdAs remembers a container that does not ask, and tells the agent of one
// that does.
func (g *Gate) createdAs(ctx context.Context, r request) {
	id, ok := r.createdID()
	if !ok {
		return
	}
	body, err := r.body()
	if err != nil || len(body) == 0 {
		return
	}
	ask, err := docker.ParseCreate(body)
	switch {
	case err != nil:
	case ask.Asks():
		g.tell(ctx, docker.Finished{ID: id, Create: &ask, Status: r.Status})
	default:
		g.known.created(id)
	}
}

// tell tells the agent what became of a request. It is no matter if that fails: the
// agent watches Docker, too.
func (g *Gate) tell(ctx context.Context, f docker.Finished) {
	if err := g.ask(ctx, docker.VerbFinished, f); err != nil {
		g.log.Warn("the agent was not told what became of a request", "container", f.ID, "error", err)
	}
}

// ask asks the agent. No answer is a refusal.
func (g *Gate) ask(ctx context.Context, verb string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	turn := time.NewTimer(queueTimeout)
	defer turn.Stop()
	select {
	case g.asking <- struct{}{}:
		defer func() { <-g.asking }()
	case <-turn.C:
		return fmt.Errorf("%d containers that ask for a gMSA are being started, and the agent has answered none of them for %v: %w", maxAsking, queueTimeout, fault.ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("the agent was not asked in time: %w", fault.ErrUnavailable)
	}
	conn, err := g.dial(ctx)
	if err != nil {
		return fmt.Errorf("the container asks for a gMSA, and the agent cannot be asked: %w; start it (gmsa-agent status shows its state); containers without a gMSA are not concerned", err)
	}
	defer conn.Close() //nolint:errcheck // answered by then
	err = control.Call(ctx, conn, verb, body, nil)
	if refusal, ok := errors.AsType[*wire.Refusal](err); ok {
		return errors.New(refusal.Message)
	}
	if err != nil {
		return fmt.Errorf("the container asks for a gMSA, and the agent has not answered: %w", err)
	}
	return nil
}
