package stores

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/integration/containerdlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/netlab"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// host is a machine with the agent, and with containerd if need be.
type host struct {
	*testing.T
	dir        string
	network    *netlab.Network
	addresses  byte   // of its network that servers have
	roots      []byte // PEM; what the host's system trusts
	env        []string
	config     map[string]any
	agent      *lab.Process
	agents     int
	containerd *containerdlab.Lab // nil where there is none
}

// newHost makes a host whose agent does not run yet.
func newHost(t *testing.T) *host {
	t.Helper()
	if err := netlab.Ready(); err != nil {
		t.Skip(err)
	}
	h := &host{T: t, config: map[string]any{"containerd": []any{}}}
	var err error
	h.network, err = netlab.New()
	h.must(err)
	t.Cleanup(func() { h.must(h.network.Close()) })
	h.settle()
	return h
}

// beside returns a host with the same network and servers, and an agent of its
// own with further settings.
func (h *host) beside(settings map[string]any) *host {
	h.Helper()
	other := &host{T: h.T, network: h.network, roots: h.roots, env: h.env, config: map[string]any{}}
	merge(other.config, h.config)
	other.settle()
	other.configure(settings)
	return other
}

// settle gives a host its folder and says so in its configuration.
func (h *host) settle() {
	h.Helper()
	var err error
	// A socket's path may have 107 bytes, so not in a test's long folder.
	h.dir, err = os.MkdirTemp("", "gmsa-stores-")
	h.must(err)
	h.Cleanup(func() { h.must(os.RemoveAll(h.dir)) })
	h.must(os.Mkdir(h.path("specs"), 0o700))
	h.configure(map[string]any{
		"state_dir": h.path("state"),
		"channels": map[string]any{
			"control": map[string]any{"endpoint": h.endpoint()},
			"plugin":  map[string]any{"endpoint": h.plugin()},
		},
		"credential_specs": map[string]any{"folders": []string{h.path("specs")}},
	})
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *host) path(elem ...string) string { return filepath.Join(append([]string{h.dir}, elem...)...) }
func (h *host) endpoint() string           { return h.path("control.sock") }
func (h *host) plugin() string             { return h.path("plugin.sock") }
func (h *host) configFile() string         { return h.path("config.yaml") }

func (h *host) write(path, text string) {
	h.Helper()
	h.must(os.WriteFile(path, []byte(text), 0o600))
}

// address is a loopback address of the host's network that no server has yet.
func (h *host) address() netip.Addr {
	h.addresses++
	return netip.AddrFrom4([4]byte{127, 0, 30, h.addresses})
}

// forward has an address of the host's network lead to a server.
func (h *host) forward(at netip.AddrPort, to string) *netlab.Way {
	h.Helper()
	w, err := h.network.Forward(at, to)
	h.must(err)
	return w
}

// start starts a store's server and has the agent know it.
func (h *host) start(k kind) server {
	h.Helper()
	s := k.start(h)
	h.configure(s.settings())
	return s
}

// configure adds to the agent's configuration.
func (h *host) configure(settings map[string]any) {
	h.Helper()
	merge(h.config, settings)
	text, err := yaml.Marshal(h.config)
	h.must(err)
	h.write(h.configFile(), string(text))
}

// merge adds the settings of one mapping to another one's.
func merge(to, from map[string]any) {
	for key, value := range from {
		inner, ok := value.(map[string]any)
		old, both := to[key].(map[string]any)
		switch {
		case ok && both:
			merge(old, inner)
		case ok:
			to[key] = map[string]any{}
			merge(to[key].(map[string]any), inner)
		default:
			to[key] = value
		}
	}
}

// command is the agent's command line, as an administrator has it.
func (h *host) command(args ...string) *exec.Cmd {
	h.Helper()
	path, args, err := h.network.Command(filepath.Join(programs, "gmsa-agent"), append([]string{"--config", h.configFile()}, args...)...)
	h.must(err)
	cmd := exec.CommandContext(h.Context(), path, args...)
	cmd.Env = h.environment()
	return cmd
}

// environment is that of the host's programs, whose system trusts its roots.
func (h *host) environment() []string {
	h.Helper()
	h.write(h.path("roots.pem"), string(h.roots))
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "SSL_CERT_FILE=" + h.path("roots.pem"), "SSL_CERT_DIR=" + h.path("none")}, h.env...)
}

// startAgent starts the agent and waits until it serves.
func (h *host) startAgent() {
	h.Helper()
	h.agents++
	path, args, err := h.network.Command(filepath.Join(programs, "gmsa-agent"), "--config", h.configFile(), "run")
	h.must(err)
	h.agent, err = lab.Start(lab.Options{Path: path, Args: args, Env: h.environment(), Log: h.log()})
	h.must(err)
	h.Cleanup(h.stopAgent)
	lab.Eventually(h.T, "the agent", func(ctx context.Context) error {
		var s agent.Status
		err := h.call(ctx, agent.VerbStatus, nil, &s)
		if err == nil && h.containerd != nil && (len(s.Hooks) != 1 || !s.Hooks[0].Connected) {
			err = fmt.Errorf("hooks %+v", s.Hooks)
		}
		return errors.Join(err, h.agent.Exited())
	})
}

// log is the file with what the agent has printed since its last start.
func (h *host) log() string { return h.path(fmt.Sprintf("agent-%d.log", h.agents)) }

func (h *host) stopAgent() {
	if h.agent == nil {
		return
	}
	if h.Failed() {
		h.Logf("the agent's log: %s", h.agent.LogTail())
	}
	if err := h.agent.Stop(10 * time.Second); err != nil {
		h.Error(err)
	}
	h.agent = nil
}

// call asks the agent over its control channel.
func (h *host) call(ctx context.Context, verb string, in, out any) error {
	// Longer than the agent takes to give up on a store.
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	c, err := channel.Dial(ctx, channel.Control, h.endpoint())
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // answered by then
	return control.Call(ctx, c, verb, in, out)
}

func (h *host) status() (s agent.Status) {
	h.Helper()
	h.must(h.call(h.Context(), agent.VerbStatus, nil, &s))
	return s
}
