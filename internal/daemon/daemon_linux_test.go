package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
)

// host is a folder with a configuration for an agent of its own.
type host struct {
	t    *testing.T
	dir  string
	file string
}

func newHost(t *testing.T) *host {
	// A unix socket's path has at most 107 bytes; t.TempDir's may have more.
	dir, err := os.MkdirTemp("", "daemon")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &host{t, dir, filepath.Join(dir, "config.yaml")}
	h.write("")
	return h
}

// write writes a working configuration and what is given behind it.
func (h *host) write(more string) {
	h.t.Helper()
	text := fmt.Sprintf("state_dir: %[1]s/state\nchannels:\n  control: {endpoint: %[1]s/c/control.sock}\n  plugin: {endpoint: %[1]s/p/plugin.sock}\ncontainerd: []\n%[2]s", h.dir, more)
	tmp := h.file + ".new"
	if err := errors.Join(os.WriteFile(tmp, []byte(text), 0o600), os.Rename(tmp, h.file)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) load() *config.Config {
	h.t.Helper()
	cfg, err := config.Load(h.file)
	if err != nil {
		h.t.Fatal(err)
	}
	return cfg
}

// run runs the agent until the test ends or stop is called.
func (h *host) run() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- Run(ctx, h.load(), "test", slog.New(slog.DiscardHandler), func() { close(ready) })
	}()
	select {
	case <-ready:
	case err := <-ended:
		h.t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	}
	h.t.Cleanup(stop)
	return stop
}

func (h *host) status() (s agent.Status) {
	h.t.Helper()
	c, err := channel.Dial(h.t.Context(), channel.Control, filepath.Join(h.dir, "c", "control.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // answered by then
	if err := control.Call(h.t.Context(), c, agent.VerbStatus, nil, &s); err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *host) eventually(what string, is func(agent.Status) bool) {
	h.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !is(h.status()) {
		if time.Now().After(deadline) {
			h.t.Fatalf("not %s: %+v", what, h.status())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestARunningAgentSaysWhatItIsAndLeavesNoSocketBehind(t *testing.T) {
	h := newHost(t)
	stop := h.run()
	s := h.status()
	if s.Version != "test" || s.PID != os.Getpid() || len(s.Channels) != 2 || s.Config.File != h.file || s.AuditTrail == "" {
		t.Errorf("%+v", s)
	}
	stop()
	sockets, err := filepath.Glob(filepath.Join(h.dir, "*", "*.sock"))
	if err != nil || len(sockets) > 0 {
		t.Errorf("left: %v, %v", sockets, err)
	}
	h.run() // and it starts again
}

func TestOneStateFolderHasOneAgent(t *testing.T) {
	h := newHost(t)
	h.run()
	err := Run(t.Context(), h.load(), "second", slog.New(slog.DiscardHandler), func() { t.Error("ready") })
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("a second agent: %v", err)
	}
	h.status() // the first one serves on
}

func TestAChangedConfigurationIsAppliedAndABrokenOneIsNot(t *testing.T) {
	h := newHost(t)
	h.run()
	first := h.status().Config.Applied
	h.write("adopt: ['{E4781092-F116-4B79-B55E-28EB6A224E26}']\n")
	h.eventually("applied", func(s agent.Status) bool { return s.Config.Applied.After(first) && s.Config.Error == "" })
	second := h.status().Config.Applied
	h.write("no_such_key: 1\n")
	h.eventually("refused", func(s agent.Status) bool { return strings.Contains(s.Config.Error, "no_such_key") })
	if s := h.status(); !s.Config.Applied.Equal(second) {
		t.Error("the broken configuration was applied")
	}
	h.write("")
	h.eventually("mended", func(s agent.Status) bool { return s.Config.Error == "" })
}

func TestAChangedStateFolderWaitsForTheNextStart(t *testing.T) {
	h := newHost(t)
	cfg := h.load()
	d := &daemon{log: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { _ = d.close() })
	if err := d.start(cfg); err != nil {
		t.Fatal(err)
	}
	store, err := local.Open(cfg.Secrets.Local.Dir)
	if err != nil {
		t.Fatal(err)
	}
	cred := &secrets.Credential{Domain: "contoso.com", User: "plugin", Password: secrets.New([]byte("hunter2"))}
	if err := store.Put(t.Context(), "contoso", cred); err != nil {
		t.Fatal(err)
	}
	for _, changed := range []func(*config.Config){
		func(c *config.Config) {
			c.StateDir, c.Secrets.Local.Dir = filepath.Join(h.dir, "other"), filepath.Join(h.dir, "other", "secrets")
		},
		func(c *config.Config) { c.Secrets.Local.Dir = filepath.Join(h.dir, "other") },
	} {
		next := h.load()
		changed(next)
		next.Secrets.Cache.TTL = 0 // and so every fetch asks the store
		settings, err := d.assemble(next)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := secrets.ParseRef("local://contoso")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := settings.Secrets.Fetch(t.Context(), ref); err != nil {
			t.Errorf("a running container's secret: %v", err)
		}
		if !d.waits(next) {
			t.Error("nobody is told that it takes effect later")
		}
	}
	if d.waits(h.load()) {
		t.Error("the configuration is again the one that the agent was started with")
	}
}

func TestAConfigurationThatOthersCanChangeIsRefused(t *testing.T) {
	h := newHost(t)
	if err := os.Chmod(h.file, 0o666); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), h.load(), "test", slog.New(slog.DiscardHandler), func() { t.Error("ready") })
	if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), h.file) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "state")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was acted upon: %v", err)
	}
}

func TestAChangeThatOthersCouldHaveMadeIsNotApplied(t *testing.T) {
	h := newHost(t)
	h.run()
	first := h.status().Config.Applied
	if err := os.Chmod(h.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	h.write("adopt: ['{E4781092-F116-4B79-B55E-28EB6A224E26}']\n")
	h.eventually("refused", func(s agent.Status) bool { return strings.Contains(s.Config.Error, "others") })
	if s := h.status(); !s.Config.Applied.Equal(first) {
		t.Error("it was applied")
	}
}

func TestAStateFolderThatOthersCanWriteToIsRefused(t *testing.T) {
	h := newHost(t)
	if err := os.Mkdir(filepath.Join(h.dir, "state"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(h.dir, "state"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), h.load(), "test", slog.New(slog.DiscardHandler), func() {}); !errors.Is(err, fault.ErrDenied) {
		t.Error(err)
	}
}
