package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

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

// another is that of another account of the domain.
var another = strings.ReplaceAll(spec, "webapp01", "webapp02")

// foreign is one of a domain that no secret serves.
var foreign = strings.NewReplacer("contoso.com", "fabrikam.com", "CONTOSO", "FABRIKAM").Replace(spec)

// host is a machine with Docker, the agent and the gate.
type host struct {
	*testing.T
	machine
	dir    string
	config map[string]any
	agent  process
	gate_  process
	starts int
	reader *reader
}

// newHost starts the agent and the gate, and has dockerd ask the gate. Docker's
// folder gets webapp01.json, and every reading of it until the test ends is looked
// at.
func newHost(t *testing.T, m machine, settings map[string]any) *host {
	t.Helper()
	// Not in a test's long folder, as a socket may have to be in it.
	dir, err := os.MkdirTemp("", "gmsa-docker-")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{T: t, machine: m, dir: dir, config: map[string]any{}}
	t.Cleanup(func() {
		for _, p := range []process{h.agent, h.gate_} {
			if p == nil {
				continue
			}
			if t.Failed() {
				t.Logf("the end of a log: %s", p.LogTail())
			}
			_ = p.Resume()
			p.Kill()
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h.must(os.Mkdir(h.path("specs"), 0o700))
	h.write(h.path("specs", "webapp01.json"), spec)
	h.write(h.path("specs", "fabrikam.json"), foreign)
	h.configure(map[string]any{
		"state_dir": h.path("state"),
		"channels": map[string]any{
			"control": map[string]any{"endpoint": h.channel("control")},
			"plugin":  map[string]any{"endpoint": h.channel("plugin")},
		},
		"containerd":       []any{},
		"credential_specs": map[string]any{"folders": []string{h.path("specs")}},
		"docker": map[string]any{
			"enabled": true, "endpoint": h.endpoint(), "gate": map[string]any{"endpoint": h.gate()},
			"specs": map[string]any{
				"webapp01": map[string]any{"reference": "file://webapp01.json"},
				"fabrikam": map[string]any{"reference": "file://fabrikam.json"},
			},
		},
	})
	h.configure(settings)
	put := h.command("secret", "put", "--domain", "contoso.com", "--user", "ccg", "contoso")
	put.Stdin = strings.NewReader("opensesame")
	if out, err := put.CombinedOutput(); err != nil {
		t.Fatalf("secret put: %v: %s", err, out)
	}
	h.startAgent()
	h.startGate()
	h.must(h.gated(t.Context()))
	h.watched()
	h.kept("webapp01.json")
	h.reader = read(h)
	return h
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *host) path(elem ...string) string { return filepath.Join(append([]string{h.dir}, elem...)...) }

func (h *host) write(path, text string) {
	h.Helper()
	h.must(os.WriteFile(path, []byte(text), 0o600))
}

// configure adds to the agent's configuration. nil takes a setting out.
func (h *host) configure(settings map[string]any) {
	h.Helper()
	merge(h.config, settings)
	text, err := yaml.Marshal(h.config)
	h.must(err)
	// As an editor does: half a file would be a broken one.
	h.write(h.path("config.yaml.new"), string(text))
	h.must(os.Rename(h.path("config.yaml.new"), h.path("config.yaml")))
}

// merge adds the settings of one mapping to another one's.
func merge(to, from map[string]any) {
	for key, value := range from {
		inner, ok := value.(map[string]any)
		old, both := to[key].(map[string]any)
		switch {
		case value == nil:
			delete(to, key)
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
	return exec.CommandContext(h.Context(), program("gmsa-agent"), append([]string{"--config", h.path("config.yaml")}, args...)...)
}

func (h *host) launch(name string, args ...string) process {
	h.Helper()
	h.starts++
	p, err := h.start(program("gmsa-agent"), append([]string{"--config", h.path("config.yaml")}, args...), h.path(fmt.Sprintf("%s-%d.log", name, h.starts)))
	h.must(err)
	return p
}

// startAgent starts the agent and waits until it answers.
func (h *host) startAgent() {
	h.Helper()
	h.agent = h.launch("agent", "run")
	lab.Eventually(h.T, "the agent", func(ctx context.Context) error {
		_, err := h.status(ctx)
		return errors.Join(err, h.agent.Exited())
	})
}

// startGate starts the gate and waits until dockerd can ask it.
func (h *host) startGate() {
	h.Helper()
	h.gate_ = h.launch("gate", "docker-gate")
	lab.Eventually(h.T, "the gate", func(context.Context) error {
		if !strings.Contains(h.gate_.LogTail(), "the gate is ready") {
			return errors.Join(errors.New("it is not ready"), h.gate_.Exited())
		}
		return nil
	})
}

// watched waits until the agent follows Docker's events.
func (h *host) watched() {
	h.Helper()
	lab.Eventually(h.T, "the agent's watch of a gated Docker", func(ctx context.Context) error {
		hook, err := h.hook(ctx)
		if err == nil && (!hook.Connected || !hook.Gate) {
			err = fmt.Errorf("%+v", hook)
		}
		return err
	})
}

// hook is what the agent says of Docker.
func (h *host) hook(ctx context.Context) (agent.Hook, error) {
	s, err := h.status(ctx)
	if err != nil {
		return agent.Hook{}, err
	}
	for _, hook := range s.Hooks {
		if hook.Name == "docker" {
			return hook, nil
		}
	}
	return agent.Hook{}, errors.Join(errors.New("the status does not tell of Docker"), h.agent.Exited())
}

// place is what the agent says of a place.
func (h *host) place(ctx context.Context, file string) (agent.Place, error) {
	hook, err := h.hook(ctx)
	if err != nil {
		return agent.Place{}, err
	}
	for _, p := range hook.Places {
		if p.Place == "file://"+file {
			return p, nil
		}
	}
	return agent.Place{}, fmt.Errorf("%s is none of Docker's places", file)
}

// kept waits until the agent keeps a file.
func (h *host) kept(file string) {
	h.Helper()
	lab.Eventually(h.T, file, func(ctx context.Context) error {
		p, err := h.place(ctx, file)
		if err == nil && (!p.Kept || p.Error != "") {
			err = fmt.Errorf("%+v", p)
		}
		return err
	})
}

func (h *host) call(ctx context.Context, verb string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	c, err := channel.Dial(ctx, channel.Control, h.channel("control"))
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // answered by then
	return control.Call(ctx, c, verb, in, out)
}

func (h *host) status(ctx context.Context) (s agent.Status, err error) {
	return s, h.call(ctx, agent.VerbStatus, nil, &s)
}

// specs is the folder in which Docker looks for credential specs.
func (h *host) specs(elem ...string) string {
	return filepath.Join(append([]string{h.root(), "CredentialSpecs"}, elem...)...)
}

// document is what Docker would give a container.
func (h *host) document(file string) []byte {
	h.Helper()
	data, err := os.ReadFile(h.specs(file))
	h.must(err)
	return data
}

// token is the grants' token in a file, after a look at the rest: it is a
// credential spec with our plugin's GUID and the token, and nothing else.
func (h *host) token(file, of string) string {
	h.Helper()
	data := h.document(file)
	parsed, err := credspec.Parse(data)
	if err != nil {
		h.Fatalf("%s: %v", file, err)
	}
	account := parsed.ActiveDirectoryConfig.HostAccountConfig
	if account == nil || !strings.HasPrefix(account.PluginInput, wire.TokenPrefix) {
		h.Fatalf("there is no grant in %s", file)
	}
	want, err := credspec.SetHostAccountConfig([]byte(of), credspec.HostAccountConfig{
		PortableCcgVersion: "1", PluginGUID: credspec.PluginGUID, PluginInput: account.PluginInput,
	})
	h.must(err)
	if string(data) != string(want) {
		h.Errorf("%s is another document than the one of its source", file)
	}
	return account.PluginInput
}

// redeem does what the CCG plugin does with a token.
func (h *host) redeem(token string) (wire.Release, error) {
	ctx, cancel := context.WithTimeout(h.Context(), 20*time.Second)
	defer cancel()
	c, err := channel.Dial(ctx, channel.Plugin, h.channel("plugin"))
	if err != nil {
		return wire.Release{}, err
	}
	defer c.Close() //nolint:errcheck // answered by then
	deadline, _ := ctx.Deadline()
	if err := errors.Join(c.SetDeadline(deadline), wire.WriteRedeem(c, token)); err != nil {
		return wire.Release{}, err
	}
	return wire.ReadAnswer(c)
}

func (h *host) mustRedeem(token string) {
	h.Helper()
	release, err := h.redeem(token)
	if err != nil || release.User != "ccg" || string(release.Password) != "opensesame" {
		h.Errorf("the token redeems user %q: %v", release.User, err)
	}
}

func (h *host) mustNotRedeem(token string) {
	h.Helper()
	if release, err := h.redeem(token); err == nil {
		h.Errorf("the token redeems user %q", release.User)
	}
}

// Docker runs Docker's command line, which must succeed.
func (h *host) Docker(args ...string) string {
	h.Helper()
	out, err := h.docker(h.Context(), args...)
	if err != nil {
		h.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// refused runs a command that must fail, and returns the line that the user reads.
func (h *host) refused(args ...string) string {
	h.Helper()
	out, err := h.docker(h.Context(), args...)
	e := (*dockerError)(nil)
	if !errors.As(err, &e) {
		h.Fatalf("docker %s: it prints %q, error %v; want a refusal", strings.Join(args, " "), out, err)
	}
	line, _, _ := strings.Cut(e.text, "\n")
	return line
}

// args puts a command line together.
func args(parts ...any) (all []string) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			all = append(all, p)
		case []string:
			all = append(all, p...)
		}
	}
	return all
}

// send sends a request to dockerd as it is, and returns the answer's status and
// what it says: a container's ID, or a message.
func (h *host) send(uri, body string, chunked bool) (status int, says string) {
	h.Helper()
	request, err := http.NewRequestWithContext(h.Context(), http.MethodPost, "http://docker", strings.NewReader(body))
	h.must(err)
	request.URL.Opaque = uri
	request.Header.Set("Content-Type", "application/json")
	if chunked {
		request.ContentLength = -1
	}
	client := h.api()
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	h.must(err)
	defer answer.Body.Close() //nolint:errcheck // read
	text, err := io.ReadAll(answer.Body)
	h.must(err)
	var found struct {
		ID      string `json:"Id"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return answer.StatusCode, string(text)
	}
	return answer.StatusCode, found.ID + found.Message
}

// story is what the trail says of a container, in order; without redemptions,
// which are for all that share a document.
func (h *host) story(id string) (all []audit.Record) {
	h.Helper()
	for r, err := range audit.Read(h.path("state", "audit.jsonl")) {
		h.must(err)
		if r.Container != nil && *r.Container == (hook.Key{Runtime: "docker", ID: id}) && r.Event != audit.RedeemReleased {
			all = append(all, r)
		}
	}
	return all
}

// tells waits until the trail tells exactly these events of a container, and
// returns the records.
func (h *host) tells(id string, events ...audit.Event) (all []audit.Record) {
	h.Helper()
	lab.Eventually(h.T, "the trail of "+id, func(context.Context) error {
		all = h.story(id)
		var got []audit.Event
		for _, r := range all {
			got = append(got, r.Event)
		}
		if fmt.Sprint(got) != fmt.Sprint(events) {
			return fmt.Errorf("it tells %v, want %v", got, events)
		}
		return nil
	})
	return all
}

// refusals are the reasons of the refusals of containers that were never made.
func (h *host) refusals() (reasons []string) {
	h.Helper()
	for r, err := range audit.Read(h.path("state", "audit.jsonl")) {
		h.must(err)
		if r.Event == audit.AdmitRefused && r.Container == nil {
			reasons = append(reasons, r.Reason)
		}
	}
	return reasons
}
