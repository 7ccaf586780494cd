package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook/docker"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
)

// Run serves the gate until ctx ends. Ready is called once, when dockerd can ask.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func()) error {
	endpoint := cfg.Docker
	if endpoint == "" {
		endpoint = docker.DefaultEndpoint
	}
	d, err := docker.Connect(endpoint)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // nothing is written through it
	g := newGate(d, func(ctx context.Context) (net.Conn, error) {
		return channel.Dial(ctx, channel.Control, cfg.Control)
	}, log)
	l, err := channel.Listen(channel.Gate, cfg.Endpoint, channel.DefaultAllow(channel.Gate))
	if err != nil {
		return fmt.Errorf("the gate's endpoint: %w", err)
	}
	defer l.Close() //nolint:errcheck // Serve has closed it
	if err := announce(cfg.Announce, l.Addr().String()); err != nil {
		return err
	}
	log.Info("the gate is ready", "endpoint", l.Addr().String(), "docker", endpoint)
	ready()
	return g.run(ctx, l)
}

func (g *Gate) run(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { g.follow(ctx) })
	return g.serve(ctx, l)
}

// follow remembers what Docker's events say of containers. Without them more of
// them are looked at.
func (g *Gate) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := g.docker.Follow(ctx, func() {}, func(id string, labels map[string]string, gone bool) {
			if gone {
				g.known.gone(id)
			} else {
				g.known.event(id, labels)
			}
		})
		g.log.Debug("Docker's events do not arrive", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

type connKey struct{}

// serve answers dockerd until ctx ends.
func (g *Gate) serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/Plugin.Activate", g.activate)
	mux.HandleFunc("/AuthZPlugin.AuthZReq", g.answer(func(ctx context.Context, r request) error { return g.before(ctx, r) }))
	mux.HandleFunc("/AuthZPlugin.AuthZRes", g.answer(func(ctx context.Context, r request) error {
		g.after(ctx, r)
		return nil
	}))
	s := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		// dockerd keeps a connection, and would take one that is closed while it
		// sends for a plugin that has failed.
		IdleTimeout:    24 * time.Hour,
		MaxHeaderBytes: 64 << 10,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ConnContext:    func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ErrorLog:       slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
		return fmt.Errorf("the gate: %w", err)
	}
	return nil
}

func (g *Gate) activate(w http.ResponseWriter, r *http.Request) {
	if g.authorize(w, r) {
		g.write(w, map[string][]string{"Implements": {"authz"}})
	}
}

// verdict is the answer to dockerd; Msg is what its user reads.
type verdict struct {
	Allow bool   `json:"Allow"`
	Msg   string `json:"Msg,omitempty"`
	Err   string `json:"Err,omitempty"`
}

// answer answers dockerd with what f decides.
func (g *Gate) answer(f func(context.Context, request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !g.authorize(w, r) {
			return
		}
		q, err := readRequest(r.Body)
		if err != nil {
			g.log.Error("a question of dockerd's cannot be read", "error", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err = g.guarded(r.Context(), q, f)
		if err == nil {
			g.write(w, verdict{Allow: true})
			return
		}
		g.log.Info("refused", "method", q.Method, "uri", q.URI, "reason", err)
		g.write(w, verdict{Msg: err.Error()})
	}
}

// guarded turns a panic into a refusal of what asks, without what it says.
func (g *Gate) guarded(ctx context.Context, q request, f func(context.Context, request) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("panic", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = errors.New("the gate failed inside; its log has more")
		}
	}()
	return f(ctx, q)
}

// authorize refuses a caller who is no administrator, as dockerd is.
func (g *Gate) authorize(w http.ResponseWriter, r *http.Request) bool {
	c, ok := r.Context().Value(connKey{}).(interface{ Authorize() error })
	if !ok {
		http.Error(w, "who is calling is not known", http.StatusForbidden)
		return false
	}
	if err := c.Authorize(); err != nil {
		g.log.Warn("a caller was refused", "error", err)
		http.Error(w, "the gate is for dockerd", http.StatusForbidden)
		return false
	}
	return true
}

// mimeType is the version of the plugin API, as dockerd wants it.
const mimeType = "application/vnd.docker.plugins.v1.2+json"

func (g *Gate) write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", mimeType)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		g.log.Debug("dockerd did not take an answer", "error", err)
	}
}
