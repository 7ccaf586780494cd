package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// The verbs of the control channel.
const (
	VerbAdmit      = "admit"      // hook.Facts → hook.Admission
	VerbStatus     = "status"     // nothing → Status
	VerbContainers = "containers" // nothing → []Container
	VerbContainer  = "container"  // string, an ID → []Container
	VerbForget     = "forget"     // Forget → Forgotten
	VerbInstances  = "instances"  // nothing → hcs.Report
	VerbReap       = "reap"       // hcs.Request → hcs.Report
)

// Verb answers one verb of the control channel, whose caller is an administrator.
// Its error wraps one of package fault's kinds.
type Verb func(ctx context.Context, body json.RawMessage) (any, error)

// Handle has f answer a verb that is none of this package's. Call it before the
// agent serves.
func (a *Agent) Handle(verb string, f Verb) { a.verbs[verb] = f }

// admitTimeout bounds an admission. It is shorter than what the wrapper waits,
// so that the reason which the user reads is the agent's.
const admitTimeout = 15 * time.Second

// strangerPatience is how long a caller who will be refused may take to send
// his request. A program that means to be served has sent it already.
const strangerPatience = 250 * time.Millisecond

// acceptPause keeps a listener that fails again and again (no more handles)
// from taking the processor with it.
const acceptPause = 50 * time.Millisecond

// caller is a connection of which the kernel has said who is at the other end.
type caller interface {
	net.Conn
	Peer() *channel.Peer
	Authorize() error
}

var _ caller = (*channel.Conn)(nil)

// ServePlugin answers redemptions until the listener is closed or ctx ends.
func (a *Agent) ServePlugin(ctx context.Context, l net.Listener) error {
	return a.serve(ctx, l, a.answerRedeem)
}

// ServeControl answers administrators until the listener is closed or ctx
// ends. It calls asked for every container that a wrapper asks for.
func (a *Agent) ServeControl(ctx context.Context, l net.Listener, asked func(hook.Key)) error {
	return a.serve(ctx, l, func(ctx context.Context, c caller) error {
		return control.Serve(ctx, c, func(ctx context.Context, req control.Request, _ func(any) error) (any, error) {
			if err := a.authorize(c, audit.ControlRefused); err != nil {
				return nil, err
			}
			return a.command(ctx, describe(c.Peer()), req, asked)
		})
	})
}

// serve answers each caller in a goroutine of its own. How many there may be
// is the listener's to bound.
func (a *Agent) serve(ctx context.Context, l net.Listener, answer func(context.Context, caller) error) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			a.log.Warn("a caller could not be accepted", "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(acceptPause):
			}
			continue
		}
		c, ok := conn.(caller)
		if !ok {
			_ = conn.Close()
			return fmt.Errorf("agent: a listener that does not say who is calling: %w", errors.ErrUnsupported)
		}
		wg.Go(func() {
			defer c.Close() //nolint:errcheck // nobody is left to be told
			var err error
			func() {
				defer a.recovered("a caller", &err)
				err = answer(ctx, c)
			}()
			if err != nil && !errors.Is(err, io.EOF) {
				a.log.Debug("a caller was not answered", "peer", c.Peer().String(), "error", err)
			}
		})
	}
}

// authorize checks the caller against the channel's access list and records
// one that has no business here.
func (a *Agent) authorize(c caller, refused audit.Event) error {
	err := c.Authorize()
	if err != nil {
		a.recordRefusal(audit.Record{Event: refused, Peer: describe(c.Peer()), Reason: err.Error()})
	}
	return err
}

// recovered turns a panic into an error, so that no input takes the agent down.
// What was panicked with may hold a secret: only its type is told.
func (a *Agent) recovered(what string, err *error) {
	p := recover()
	if p == nil {
		return
	}
	kind := fmt.Sprintf("%T", p)
	a.log.Error("panic", "in", what, "type", kind, "stack", string(debug.Stack()))
	if a.panicked != nil {
		a.panicked(what, kind)
	}
	*err = fmt.Errorf("%s failed inside the agent; its log has more", what)
}

func (a *Agent) recordRefusal(r audit.Record) {
	if !a.refusals.thin(&r, time.Now()) {
		return
	}
	if err := a.trail.Write(r); err != nil {
		a.log.Error("no audit record of a refusal", "event", r.Event, "error", err)
	}
}

func describe(p *channel.Peer) *audit.Peer {
	if p == nil {
		return nil
	}
	return &audit.Peer{PID: p.PID, Image: p.Image, User: p.User}
}

func (a *Agent) answerRedeem(ctx context.Context, c caller) error {
	if err := c.SetDeadline(time.Now().Add(wire.AnswerTimeout)); err != nil {
		return err
	}
	if err := a.authorize(c, audit.RedeemRefused); err != nil {
		// A refusal to a caller who is still writing may not arrive: let him
		// finish, but not for long.
		if err := c.SetReadDeadline(time.Now().Add(strangerPatience)); err != nil {
			return err
		}
		_, _ = wire.ReadRedeem(c)
		return wire.WriteRefusal(c, wire.CodeDenied, "the caller is not CCG's plugin host")
	}
	token, err := wire.ReadRedeem(c)
	if errors.Is(err, io.EOF) {
		return err // connected and went away
	}
	if err != nil {
		a.recordRefusal(audit.Record{Event: audit.RedeemRefused, Peer: describe(c.Peer()), Reason: err.Error()})
		return wire.WriteRefusal(c, wire.CodeOf(err), err.Error())
	}
	// Shorter than the connection's deadline, so that a slow store's error
	// still reaches the plugin.
	ctx, cancel := context.WithTimeout(ctx, wire.AnswerTimeout*9/10)
	defer cancel()
	cred, err := a.Redeem(ctx, describe(c.Peer()), c.Authorize, token)
	if err != nil {
		return wire.WriteRefusal(c, wire.CodeOf(err), err.Error())
	}
	defer cred.Wipe()
	err = wire.WriteRelease(c, wire.Release{Domain: cred.Domain, User: cred.User, Password: cred.Password.Bytes()})
	if malformed, ok := errors.AsType[*wire.Error](err); ok {
		// A credential that the protocol cannot carry; nothing was sent.
		return errors.Join(err, wire.WriteRefusal(c, wire.CodeMalformed, malformed.Error()))
	}
	return err
}

func (a *Agent) command(ctx context.Context, peer *audit.Peer, req control.Request, asked func(hook.Key)) (any, error) {
	switch req.Verb {
	case VerbAdmit:
		var f hook.Facts
		if err := control.Decode(req.Body, "the container's facts", &f); err != nil {
			return nil, err
		}
		if err := checkFacts(f); err != nil {
			return nil, err
		}
		asked(f.Key)
		ctx, cancel := context.WithTimeout(ctx, admitTimeout)
		defer cancel()
		return a.Admit(ctx, f)
	case VerbStatus:
		return a.Status(), nil
	case VerbContainers:
		return a.Containers(), nil
	case VerbContainer:
		var id string
		if err := json.Unmarshal(req.Body, &id); err != nil {
			return nil, fmt.Errorf("the container's id: %w: %w", fault.ErrMalformed, err)
		}
		return a.inspect(ctx, id)
	case VerbForget:
		var f Forget
		if err := control.Decode(req.Body, "what to forget", &f); err != nil {
			return nil, err
		}
		return a.Forget(peer, f)
	case VerbInstances:
		return a.listInstances(ctx)
	case VerbReap:
		var q hcs.Request
		if err := control.Decode(req.Body, "what to reap", &q); err != nil {
			return nil, err
		}
		return a.reap(ctx, peer, q)
	}
	if f, ok := a.verbs[req.Verb]; ok {
		ctx, cancel := context.WithTimeout(ctx, admitTimeout)
		defer cancel()
		return f(ctx, req.Body)
	}
	return nil, fmt.Errorf("the verb %.64q is none of this agent's: %w", req.Verb, errors.ErrUnsupported)
}
