package docker

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/integration/dockerlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// parallel: every test has a dockerd of its own.
const parallel = true

func machines() map[string]func(*testing.T) machine {
	all := map[string]func(*testing.T) machine{}
	for _, f := range dockerlab.Flavours {
		if f.Ready() == nil {
			all[string(f)] = func(t *testing.T) machine { return startLab(t, dockerlab.Options{Flavour: f}) }
		}
	}
	return all
}

func whyNone() error { return dockerlab.Ready() }

// labMachine is a Docker lab.
type labMachine struct{ *dockerlab.Lab }

func startLab(t testing.TB, o dockerlab.Options) labMachine {
	t.Helper()
	l, err := dockerlab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dockerd's log: %s", l.Log())
		}
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return labMachine{l}
}

func (m labMachine) docker(ctx context.Context, args ...string) (string, error) {
	out, err := m.Docker(ctx, args...)
	if e := (*dockerlab.CommandError)(nil); errors.As(err, &e) {
		err = &dockerError{e.Code, e.Text}
	}
	return out, err
}

func (m labMachine) compose(ctx context.Context, folder string, args ...string) (string, error) {
	out, err := m.Compose(ctx, folder, args...).CombinedOutput()
	return string(out), err
}

func (m labMachine) api() *http.Client               { return m.API() }
func (m labMachine) endpoint() string                { return "unix://" + m.Socket() }
func (m labMachine) root() string                    { return m.Root() }
func (m labMachine) gate() string                    { return m.Path("plugins", "gmsa-agent.sock") }
func (m labMachine) channel(name string) string      { return m.Path(name + ".sock") }
func (m labMachine) gated(ctx context.Context) error { return m.AskPlugins(ctx, "gmsa-agent") }
func (m labMachine) restart(ctx context.Context) error {
	return errors.Join(m.StopDockerd(), m.StartDockerd(ctx))
}

func (m labMachine) image() string   { return dockerlab.Image }
func (m labMachine) run() []string   { return []string{"--network", "none", dockerlab.Image} }
func (m labMachine) fails() []string { return append(m.run(), "false") }
func (m labMachine) mortal() []string {
	return append(m.run(), "sh", "-c", "trap 'exit 1' USR1; while true; do sleep 1000000 & wait; done")
}

// asks are a label: the option is none on Linux.
func (m labMachine) asks(file string) []string {
	return []string{"--label", hook.KeyCredentialSpec + "=file://" + file}
}

func (m labMachine) composed(file string) string {
	return "    labels:\n      " + hook.KeyCredentialSpec + ": file://" + file + "\n"
}

// suicide: the kernel keeps a signal from a first process that has no handler for
// it, so that the container's is a shell that has one.
func (m labMachine) suicide() []string { return []string{"sh", "-c", "kill -USR1 1"} }

func (m labMachine) start(path string, args []string, log string) (process, error) {
	return lab.Start(lab.Options{Path: path, Args: args, Log: log})
}
