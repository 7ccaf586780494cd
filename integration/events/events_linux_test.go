package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/pluginharness"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog/catalog"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog/messagefile"
)

// patience bounds one program; the rest is a slow machine's.
const patience = 3 * time.Minute

// binaries are built once for all tests.
type binaries struct{ dir, agent, dll, harness, words string }

var build = sync.OnceValues(func() (b binaries, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if b.dir, err = os.MkdirTemp("", "events-"); err != nil {
		return b, err
	}
	in := func(name string) string { return filepath.Join(b.dir, name) }
	b.agent, b.dll, b.harness, b.words = in("gmsa-agent.exe"), in("ccg-plugin.dll"), in("harness.exe"), in("words.exe")
	return b, errors.Join(
		winelab.Build(ctx, "./cmd/gmsa-agent", b.agent, "-ldflags=-s -w"),
		winelab.BuildDLL(ctx, "./cmd/ccg-plugin", b.dll),
		pluginharness.Build(ctx, b.harness),
		winelab.Build(ctx, "./integration/events/words", b.words),
	)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if b, err := build(); err == nil || b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
	os.Exit(code)
}

type host struct {
	*winelab.Lab
	binaries
}

func newHost(t *testing.T) *host {
	t.Helper()
	if err := winelab.Ready(); err != nil {
		t.Skip(err)
	}
	b, err := build()
	if err != nil {
		t.Fatal(err)
	}
	l, err := winelab.Start(t.Context(), winelab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &host{l, b}
}

// said makes Wine tell of the calls of a program's own process.
const said = "WINEDEBUG=fixme+advapi,trace+eventlog,warn+eventlog,err+eventlog"

// call is what Wine says of one ReportEventW, and of its strings.
type call struct {
	Severity eventlog.Severity
	Category uint16
	ID       eventlog.ID
	Params   []string
}

var (
	registered = regexp.MustCompile(`RegisterEventSourceW \(\(null\),L"([^"]*)"\)`)
	reported   = regexp.MustCompile(`ReportEventW \([0-9A-F]+,0x([0-9a-f]+),0x([0-9a-f]+),0x([0-9a-f]+),0+,0x([0-9a-f]+),0x0+,`)
	parameter  = regexp.MustCompile(`:eventlog:ReportEventW L(".*")`)
)

// calls reads Wine's words. Every source must be ours.
func calls(t *testing.T, text string) []call {
	t.Helper()
	var all []call
	for line := range strings.Lines(text) {
		if source := registered.FindStringSubmatch(line); source != nil && source[1] != eventlog.Source {
			t.Errorf("the source is %q", source[1])
		}
		if found := reported.FindStringSubmatch(line); found != nil {
			number := func(i int) uint64 {
				n, err := strconv.ParseUint(found[i], 16, 32)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			all = append(all, call{eventlog.Severity(number(1)), uint16(number(2)), eventlog.ID(number(3)), nil})
			continue
		}
		if found := parameter.FindStringSubmatch(line); found != nil && len(all) > 0 {
			// Wine writes what is not ASCII, and backslashes, as C does.
			p := strings.ReplaceAll(strings.Trim(found[1], `"`), `\\`, `\`)
			all[len(all)-1].Params = append(all[len(all)-1].Params, p)
		}
	}
	return all
}

// wantEvent finds an event among calls, and holds it to the table.
func wantEvent(t *testing.T, all []call, id eventlog.ID) call {
	t.Helper()
	at := slices.IndexFunc(all, func(c call) bool { return c.ID == id })
	if at < 0 {
		t.Fatalf("no event %d was reported, but %+v", id, all)
	}
	events := catalog.Events()
	row := events[slices.IndexFunc(events, func(e eventlog.Event) bool { return e.ID == id })]
	got := all[at]
	if got.Severity != row.Severity || got.Category != row.Category() || len(got.Params) != len(row.Params) {
		t.Errorf("got %+v, and the table has %s, category %d, %q", got, row.Severity, row.Category(), row.Params)
	}
	return got
}

// run runs a program to its end and returns what it and Wine said.
func (h *host) run(t *testing.T, exe string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := h.Command(ctx, exe, args...)
	cmd.Env = append(cmd.Env, said)
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close() //nolint:errcheck // only the program writes to it
	cmd.Stdout, cmd.Stderr = output, output
	_ = cmd.Run() // some of them are to fail; their events say so
	text, err := os.ReadFile(output.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFormatMessageFindsEveryEventsWordsInTheAgent(t *testing.T) {
	h := newHost(t)
	want := map[string]string{}
	args := []string{h.WindowsPath(h.agent)}
	for _, m := range messagefile.Messages(catalog.Events()) {
		id := fmt.Sprint(m.ID)
		args = append(args, id)
		want[id] = regexp.MustCompile(`%(\d)`).ReplaceAllString(m.Text, "<$1>")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := h.Command(ctx, h.words, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	t.Logf("%d messages", len(got))
}

const configFile = `C:\ProgramData\gmsa-agent\config.yaml`

func (h *host) configure(t *testing.T, text string) {
	t.Helper()
	file := h.Path(configFile)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestTheAgentReportsItsStart(t *testing.T) {
	h := newHost(t)
	h.configure(t, "containerd: []\n")
	_, err := h.StartProcess(winelab.Program{Exe: h.agent, Args: []string{"--config", configFile, "run"}, Env: []string{said}, Log: "agent.log"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var text string
	err = lab.WaitFor(ctx, "the agent to be ready", func(context.Context) error {
		b, err := os.ReadFile(h.LogPath("agent.log"))
		if text = string(b); err == nil && !strings.Contains(text, "0x000003e9") { // 1001
			err = fmt.Errorf("it says %s", b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Wine writes the call first and its strings right after it.
	err = lab.WaitFor(ctx, "the event's parameters", func(context.Context) error {
		b, err := os.ReadFile(h.LogPath("agent.log"))
		text = string(b)
		if all := calls(t, text); err == nil && len(all[len(all)-1].Params) < 3 {
			err = fmt.Errorf("got %v", all)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := calls(t, text)
	wantEvent(t, all, eventlog.AgentStarted)
	if ready := wantEvent(t, all, eventlog.AgentReady); ready.Params[1] != configFile {
		t.Errorf("got %q", ready.Params)
	}
}

func TestTheAgentReportsWhyItDoesNotStart(t *testing.T) {
	h := newHost(t)
	for config, says := range map[string]string{
		"'%1': x\n": "unknown key",
		"channels: {control: {endpoint: 'C:\\no-pipe'}}\ncontainerd: []\n": "control channel",
	} {
		h.configure(t, config)
		failed := wantEvent(t, calls(t, h.run(t, h.agent, "--config", configFile, "run")), eventlog.AgentStartFailed)
		if !strings.Contains(failed.Params[0], says) || strings.Contains(failed.Params[0], "%") {
			t.Errorf("got %q, want it to say %q", failed.Params, says)
		}
	}
}

func TestThePluginReportsWhatItCannotTellCCG(t *testing.T) {
	h := newHost(t)
	if err := h.RegisterDLL(t.Context(), h.dll); err != nil {
		t.Fatal(err)
	}
	const token = "gmsa-grant-canary-4c1e"
	for result, args := range map[ccgplugin.HRESULT][]string{
		ccgplugin.ENoAgent:      {"inproc", "call", token},
		ccgplugin.ENoInput:      {"inproc", "null"}, // refused by the C half
		ccgplugin.EInputTooLong: {"inproc", "long", "10000000"},
	} {
		text := h.run(t, h.harness, args...)
		if !strings.Contains(text, fmt.Sprintf("result 0x%08X", uint32(result))) {
			t.Errorf("%s: the harness says %s", result, text)
		}
		all := calls(t, text)
		id := eventlog.ID(5000 + uint32(result)&0xFF)
		got := wantEvent(t, all, id)
		if len(all) != 1 || got.Params[0] != result.String() {
			t.Errorf("%s: %+v", result, all)
		}
		for _, c := range all {
			if strings.Contains(strings.Join(c.Params, " "), token) {
				t.Errorf("the token is in an event: %q", c.Params)
			}
		}
	}
}
