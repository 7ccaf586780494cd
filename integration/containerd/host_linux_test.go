package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/integration/containerdlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// programs is the folder with the project's own programs, as a release has them.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if containerdlab.Ready() == nil {
			var err error
			if programs, err = os.MkdirTemp("", "gmsa-programs-"); err == nil {
				defer os.RemoveAll(programs) //nolint:errcheck // a temporary folder
				err = errors.Join(build("gmsa-agent", "./cmd/gmsa-agent"), build("shim/"+containerdlab.Shim, "./cmd/containerd-shim-gmsa"))
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}())
}

func build(name, pkg string) error {
	root, err := lab.ModuleRoot()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(programs, name), pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, out)
	}
	return nil
}

// spec is a credential spec of an account of contoso.com.
const spec = `{
  "CmsPlugins": ["ActiveDirectory"],
  "DomainJoinConfig": {
    "Sid": "S-1-5-21-2126449477-2524075714-3094792973", "MachineAccountName": "webapp01",
    "Guid": "244818ae-87ac-4fcd-92ec-e79e5252348a",
    "DnsTreeName": "contoso.com", "DnsName": "contoso.com", "NetBiosName": "CONTOSO"
  },
  "ActiveDirectoryConfig": {"GroupManagedServiceAccounts": [
    {"Name": "webapp01", "Scope": "contoso.com"}, {"Name": "webapp01", "Scope": "CONTOSO"}
  ]},
  "Extension": {"kept": 1.50}
}`

// host is a machine with containerd, the agent and the shim wrapper.
type host struct {
	*containerdlab.Lab
	t       *testing.T
	dir     string
	wrapper string // the wrapper's path; containerd is told of it for each container
	agent   *lab.Process
	starts  int
}

// newHost starts containerd and, with settings of its own for the containerd in
// the configuration, prepares the agent: a credential spec webapp01.json and a
// secret for contoso.com.
func newHost(t *testing.T, settings string) *host {
	t.Helper()
	if err := containerdlab.Ready(); err != nil {
		t.Skip(err)
	}
	t.Parallel() // each has a containerd and an agent of its own
	l, err := containerdlab.Start(t.Context(), containerdlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Lab: l, t: t, dir: l.Path("agent"), wrapper: l.Path("shim", containerdlab.Shim)}
	t.Cleanup(func() {
		if t.Failed() && h.agent != nil {
			t.Logf("the agent's log: %s", h.agent.LogTail())
		}
		h.stopAgent()
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	h.must(os.MkdirAll(filepath.Join(h.dir, "specs"), 0o700))
	h.must(os.MkdirAll(filepath.Dir(h.wrapper), 0o700))
	h.must(os.Link(filepath.Join(programs, "shim", containerdlab.Shim), h.wrapper))
	h.write(filepath.Join(filepath.Dir(h.wrapper), "containerd-shim-gmsa.conf"), "endpoint = "+h.endpoint()+"\n")
	h.write(filepath.Join(h.dir, "specs", "webapp01.json"), spec)
	h.write(h.config(), fmt.Sprintf(`state_dir: %[1]s/state
channels:
  control: {endpoint: %[2]s}
  plugin: {endpoint: %[1]s/plugin.sock}
containerd:
- address: %[3]s
  state_dir: %[4]s
  namespaces: [%[5]s]
%[6]s
credential_specs: {folders: [%[1]s/specs]}
`, h.dir, h.endpoint(), l.Address(), l.StateDir(), l.Namespace, settings))
	put := h.command("secret", "put", "--domain", "contoso.com", "--user", "ccg", "contoso")
	put.Stdin = strings.NewReader("opensesame")
	if out, err := put.CombinedOutput(); err != nil {
		t.Fatalf("secret put: %v: %s", err, out)
	}
	return h
}

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) write(path, text string) {
	h.t.Helper()
	h.must(os.WriteFile(path, []byte(text), 0o600))
}

func (h *host) endpoint() string { return filepath.Join(h.dir, "control.sock") }
func (h *host) config() string   { return filepath.Join(h.dir, "config.yaml") }

func (h *host) command(args ...string) *exec.Cmd {
	return exec.CommandContext(h.t.Context(), filepath.Join(programs, "gmsa-agent"), append([]string{"--config", h.config()}, args...)...)
}

// startAgent starts the agent and waits until it has listed the containers.
func (h *host) startAgent() {
	h.t.Helper()
	h.starts++
	p, err := lab.Start(lab.Options{
		Path: filepath.Join(programs, "gmsa-agent"), Args: []string{"--config", h.config(), "run"},
		Log: filepath.Join(h.dir, fmt.Sprintf("agent-%d.log", h.starts)),
	})
	h.must(err)
	h.agent = p
	h.connected()
}

// connected waits until the agent has listed the containers.
func (h *host) connected() {
	h.t.Helper()
	lab.Eventually(h.t, "the agent's watch", func(ctx context.Context) error {
		s, err := h.status(ctx)
		if err == nil && (len(s.Hooks) != 1 || !s.Hooks[0].Connected) {
			err = fmt.Errorf("hooks %+v", s.Hooks)
		}
		return errors.Join(err, h.agent.Exited())
	})
}

func (h *host) status(ctx context.Context) (s agent.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := channel.Dial(ctx, channel.Control, h.endpoint())
	if err != nil {
		return s, err
	}
	defer c.Close() //nolint:errcheck // answered by then
	return s, control.Call(ctx, c, agent.VerbStatus, nil, &s)
}

func (h *host) stopAgent() {
	if h.agent != nil {
		h.resume()
		if err := h.agent.Stop(10 * time.Second); err != nil {
			h.t.Error(err)
		}
		h.agent = nil
	}
}

func (h *host) killAgent() {
	h.agent.Kill()
	h.agent = nil
}

// freeze has the agent hang: it is there, and does nothing.
func (h *host) freeze() { h.must(h.agent.Pause()) }
func (h *host) resume() { _ = h.agent.Resume() }

// key is a container's key.
func (h *host) key(id string) hook.Key {
	return hook.Key{Runtime: "containerd", Namespace: h.Namespace, ID: id}
}

// asking is a container that asks for the gMSA by an annotation.
func (h *host) asking(id, ref string) containerdlab.Container {
	return containerdlab.Container{ID: id, Shim: h.wrapper, Annotations: map[string]string{hook.KeyCredentialSpec: ref}}
}

func (h *host) run(c containerdlab.Container) {
	h.t.Helper()
	h.must(h.Run(h.t.Context(), c))
}

func (h *host) delete(id string) {
	h.t.Helper()
	h.must(h.Delete(h.t.Context(), id))
}

func (h *host) configJSON(id string) []byte {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Bundle(id), bundle.FileName))
	h.must(err)
	return b
}

// admitted returns the document in a container's bundle, after checking that it
// is the credential spec with a grant and nothing else.
func (h *host) admitted(id string) string {
	h.t.Helper()
	asked, err := bundle.Read(h.configJSON(id))
	h.must(err)
	parsed, err := credspec.Parse([]byte(asked.CredentialSpec))
	if err != nil {
		h.t.Fatalf("%s has no document: %q, %v", id, asked.CredentialSpec, err)
	}
	account := parsed.ActiveDirectoryConfig.HostAccountConfig
	if account == nil || !strings.HasPrefix(account.PluginInput, wire.TokenPrefix) {
		h.t.Fatalf("%s has no grant in its document", id)
	}
	want, err := credspec.SetHostAccountConfig([]byte(spec), credspec.HostAccountConfig{
		PortableCcgVersion: "1", PluginGUID: credspec.PluginGUID, PluginInput: account.PluginInput,
	})
	h.must(err)
	if asked.CredentialSpec != string(want) {
		h.t.Errorf("%s has another document than the one that was asked for: %s", id, asked.CredentialSpec)
	}
	return asked.CredentialSpec
}

// mustBeUntouched checks that a container's bundle is what containerd made of
// its record, byte for byte.
func (h *host) mustBeUntouched(id string) {
	h.t.Helper()
	if got, want := h.configJSON(id), h.record(id); !bytes.Equal(got, want) {
		h.t.Errorf("config.json of %s was changed: %s, want %s", id, got, want)
	}
}

// mustRedeem checks that the grant in a container's document is live.
func (h *host) mustRedeem(id string) {
	h.t.Helper()
	parsed, err := credspec.Parse([]byte(h.admitted(id)))
	h.must(err)
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	c, err := channel.Dial(ctx, channel.Plugin, filepath.Join(h.dir, "plugin.sock"))
	h.must(err)
	defer c.Close() //nolint:errcheck // answered by then
	deadline, _ := ctx.Deadline()
	h.must(c.SetDeadline(deadline))
	h.must(wire.WriteRedeem(c, parsed.ActiveDirectoryConfig.HostAccountConfig.PluginInput))
	release, err := wire.ReadAnswer(c)
	if err != nil || release.User != "ccg" || string(release.Password) != "opensesame" {
		h.t.Errorf("%s redeems user %q: %v", id, release.User, err)
	}
}

// record returns the spec in containerd's record of a container.
func (h *host) record(id string) []byte {
	h.t.Helper()
	c, err := client.New(h.Address())
	h.must(err)
	defer c.Close() //nolint:errcheck // answered by then
	record, err := c.ContainerService().Get(namespaces.WithNamespace(h.t.Context(), h.Namespace), id)
	h.must(err)
	return record.Spec.GetValue()
}

// records returns the audit records of a container's event.
func (h *host) records(event audit.Event, id string) []audit.Record {
	var found []audit.Record
	for r, err := range audit.Read(filepath.Join(h.dir, "state", "audit.jsonl")) {
		if err == nil && r.Event == event && r.Container != nil && *r.Container == h.key(id) {
			found = append(found, r)
		}
	}
	return found
}

// recorded waits for an audit record of a container, and returns it.
func (h *host) recorded(event audit.Event, id string) (r audit.Record) {
	h.t.Helper()
	lab.Eventually(h.t, fmt.Sprintf("a record %s of %s", event, id), func(context.Context) error {
		all := h.records(event, id)
		if len(all) == 0 {
			return errors.Join(errors.New("none"), h.agent.Exited())
		}
		r = all[len(all)-1]
		return nil
	})
	return r
}

// grants returns the IDs of the containers that have a live grant.
func (h *host) grants() []string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	c, err := channel.Dial(ctx, channel.Control, h.endpoint())
	h.must(err)
	defer c.Close() //nolint:errcheck // answered by then
	var list []agent.Container
	h.must(control.Call(ctx, c, agent.VerbContainers, nil, &list))
	var ids []string
	for _, c := range list {
		if c.Decision == agent.Granted {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// granted waits until exactly these containers have live grants.
func (h *host) granted(ids ...string) {
	h.t.Helper()
	lab.Eventually(h.t, "the grants", func(context.Context) error {
		if got := h.grants(); !slices.Equal(got, ids) {
			return fmt.Errorf("%q have grants, want %q", got, ids)
		}
		return nil
	})
}
