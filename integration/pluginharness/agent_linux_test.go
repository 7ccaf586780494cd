package pluginharness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab/proxystub"
)

// programs are built once, for the tests that have a whole agent.
type programs struct{ agent, admit string }

var buildAgent = sync.OnceValues(func() (p programs, err error) {
	b, err := build()
	if err != nil {
		return p, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	p = programs{filepath.Join(b.dir, "gmsa-agent.exe"), filepath.Join(b.dir, "admit.exe")}
	for pkg, exe := range map[string]string{"./cmd/gmsa-agent": p.agent, "./integration/pluginharness/admit": p.admit} {
		// With the flags of the release, which other suites build with too.
		if err := winelab.Build(ctx, pkg, exe, "-ldflags=-s -w"); err != nil {
			return p, err
		}
	}
	return p, nil
})

// Folders and files of the agent on the lab's drive.
const (
	dataFolder = `C:\ProgramData\gmsa-agent`
	specFolder = dataFolder + `\CredentialSpecs`
	configFile = dataFolder + `\config.yaml`
)

// controlPipe is, like pipe, channel.DefaultEndpoint on Windows.
const controlPipe = `\\.\pipe\ProtectedPrefix\Administrators\gmsa-agent\control`

// agentHost is a host with the real agent behind the plugin.
type agentHost struct {
	*host
	programs
}

// newAgentHost prepares a host on which the agent does not run yet. Under Wine
// the one user is an administrator, and COM's surrogate lies in the folder of
// the 32-bit half of Windows; beside it, the harness may redeem.
func newAgentHost(t testing.TB) *agentHost {
	t.Helper()
	h := &agentHost{host: newHost(t)}
	var err error
	if h.programs, err = buildAgent(); err != nil {
		t.Fatal(err)
	}
	if err := proxystub.Install(t.Context(), h.Lab); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(h.Path(specFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	h.configure(t, nil)
	return h
}

// configure writes the agent's configuration: what makes it work on this host,
// and more, by top-level key. JSON is YAML, too.
func (h *agentHost) configure(t testing.TB, more map[string]any) {
	t.Helper()
	config := map[string]any{
		"state_dir": dataFolder,
		"channels": map[string]any{"plugin": map[string]any{
			"users":  []string{"S-1-5-32-544"},
			"images": []string{`C:\windows\syswow64\dllhost.exe`, h.WindowsPath(h.harness)},
		}},
		"credential_specs": map[string]any{"folders": []string{specFolder}},
	}
	maps.Copy(config, more)
	text, err := json.Marshal(config)
	if err == nil {
		err = os.WriteFile(h.Path(configFile), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// cli runs gmsa-agent.exe. The error holds what it said of it.
func (h *agentHost) cli(ctx context.Context, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	cmd := h.Command(ctx, h.agent, append([]string{"--config", configFile}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &said
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("gmsa-agent %s: %w: %s", strings.Join(args, " "), err, said.Bytes())
	}
	return out.String(), said.String(), err
}

// runAgent starts the agent and waits until it answers.
func (h *agentHost) runAgent(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	process, err := h.StartProcess(winelab.Program{Exe: h.agent, Args: []string{"--config", configFile, "run"}, Log: "agent.log"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pipe := range []string{controlPipe, pipe} {
		if _, err := h.Plug(ctx, pipe); err != nil {
			t.Fatalf("%v: %s", err, process.LogTail())
		}
	}
	err = lab.WaitFor(ctx, "the agent", func(ctx context.Context) error {
		if err := process.Exited(); err != nil {
			return err
		}
		_, _, err := h.cli(ctx, nil, "status")
		return err
	})
	if err != nil {
		t.Fatalf("%v: %s", err, process.LogTail())
	}
}

// spec puts a credential spec of the domain into the agent's folder and returns
// its reference.
func (h *agentHost) spec(t testing.TB, name, dns, netbios string) string {
	t.Helper()
	document, err := credspec.Generate(credspec.Domain{
		DNSName: dns, NetBIOSName: netbios, Forest: dns,
		SID: "S-1-5-21-1004336348-1177238915-682003330", GUID: "0c6f5a0b-4f3c-4a6c-9f5f-2d0a7f0c2f11",
	}, "webapp01", nil, nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.Path(specFolder), name+".json"), document, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + name + ".json"
}

// admitted has all containers admitted, in one process, and returns what CCG
// is to give to the plugin for each.
func (h *agentHost) admitted(t testing.TB, containers []hook.Facts) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var in, out, said bytes.Buffer
	for _, f := range containers {
		if err := json.NewEncoder(&in).Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	cmd := h.Command(ctx, h.admit)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("admit: %v: %s", err, said.Bytes())
	}
	inputs := slices.Collect(strings.FieldsSeq(out.String()))
	if len(inputs) != len(containers) {
		t.Fatalf("%d of %d containers were admitted: %s", len(inputs), len(containers), said.Bytes())
	}
	return inputs
}
