package pluginharness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/winelab/proxystub"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

// Where the agent and its plugin are installed, for the tests of the
// registration by the agent: access lists of this machine's own folders, as
// Wine translates them, are no Windows host's.
const (
	installFolder = `C:\Program Files\gmsa-agent`
	installedExe  = installFolder + `\gmsa-agent.exe`
	installedDLL  = installFolder + `\ccg-plugin.dll`
)

// installedHost has the agent and its plugin installed, and nothing registered.
func installedHost(t testing.TB) *host {
	t.Helper()
	h := newHost(t)
	p, err := buildAgent()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for file, as := range map[string]string{p.agent: installedExe, h.dll: installedDLL} {
		if err := h.InstallAs(file, as); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(proxystub.Install(ctx, h.Lab), h.UnregisterDLL(ctx, h.dll)); err != nil {
		t.Fatal(err)
	}
	return h
}

// plugin runs `gmsa-agent plugin` and returns its exit code and what it said.
func (h *host) plugin(t testing.TB, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := h.Command(ctx, installedExe, append([]string{"plugin"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &said
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil && !errors.Is(err, exec.ErrWaitDelay) { // the plugin's host keeps the output
		t.Fatalf("gmsa-agent plugin %q: %v: %s", args, err, said.Bytes())
	}
	return code, out.String(), said.String()
}

// status is what of `plugin status -o json` the tests look at.
type status struct {
	Registered  bool
	DLL         string
	Differences []struct{ Severity, Place, Value, Problem, Effect, Remedy string }
}

func (h *host) pluginStatus(t testing.TB) (code int, st status) {
	t.Helper()
	code, out, said := h.plugin(t, "", "status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatalf("status: exit code %d, %v: %s%s", code, err, out, said)
	}
	return code, st
}

// reg runs reg.exe.
func (h *host) reg(t testing.TB, args ...string) {
	t.Helper()
	if out, err := h.Command(t.Context(), "reg.exe", args...).CombinedOutput(); err != nil {
		t.Fatalf("reg %q: %v: %s", args, err, out)
	}
}

// named are reg.exe's words for a value's name.
func named(name string) []string {
	if name == "" {
		return []string{"/ve"}
	}
	return []string{"/v", name}
}

func valueName(name string) string {
	if name == "" {
		return "(Default)"
	}
	return name
}

// The breakages are made from the contract: what is added to it is broken here
// too. Who may change a key, and a registration that is killed while it owns
// one, are tested beside the code: Wine gives ownership to nobody.
func TestEveryRegistrationKeyBrokenInTurnIsNamedAndHealed(t *testing.T) {
	t.Parallel()
	h := installedHost(t)
	if code, out, said := h.plugin(t, "", "register"); code != 0 || !strings.Contains(out, "registered: "+installedDLL) {
		t.Fatalf("register: exit code %d: %s%s", code, out, said)
	}
	type breakage struct {
		reg          [][]string
		place, value string
	}
	var all []breakage
	seen := map[string]bool{}
	for _, w := range ccgplugin.Written(installedDLL) {
		key, value := `HKLM\`+w.Key, valueName(w.Name)
		set := func(kind, data string) []string {
			return append([]string{"add", key, "/t", kind, "/d", data, "/f"}, named(w.Name)...)
		}
		same := map[uint32]string{1: "REG_SZ", 3: "REG_BINARY"}[w.Value.Type]
		all = append(all, breakage{[][]string{append([]string{"delete", key, "/f"}, named(w.Name)...)}, key, value})
		if !testing.Short() { // the tests beside the code have them too
			all = append(all,
				breakage{[][]string{set("REG_DWORD", "1")}, key, value},
				breakage{[][]string{set(same, "ab")}, key, value}) // as text and as binary
		}
		if !seen[key] {
			seen[key] = true
			all = append(all, breakage{[][]string{{"delete", key, "/f"}}, key, ""})
		}
	}
	for _, u := range ccgplugin.Unwanted() {
		key := `HKLM\` + u.Key
		if u.Name == "" {
			all = append(all, breakage{[][]string{{"add", key + `\InprocServer32`, "/ve", "/d", "x", "/f"}}, key, ""})
		} else {
			all = append(all, breakage{[][]string{{"add", key, "/v", u.Name, "/d", "Interactive User", "/f"}}, key, u.Name})
		}
	}
	for _, b := range all {
		for _, args := range b.reg {
			h.reg(t, args...)
		}
		_, st := h.pluginStatus(t)
		var found bool
		for _, d := range st.Differences {
			found = found || d.Place == b.place && d.Value == b.value && d.Effect != "" && d.Remedy == "gmsa-agent plugin register"
		}
		if !found {
			t.Errorf("after reg %q: %s: %s is not named: %+v", b.reg, b.place, b.value, st.Differences)
		}
		if code, out, said := h.plugin(t, "", "register"); code != 0 {
			t.Errorf("after reg %q: register: exit code %d: %s%s", b.reg, code, out, said)
		}
		if code, st := h.pluginStatus(t); code != 0 || !st.Registered || len(st.Differences) != 0 || st.DLL != installedDLL {
			t.Errorf("after reg %q, healed: exit code %d, %+v", b.reg, code, st)
		}
	}
	t.Logf("%d breakages", len(all))

	if code, out, said := h.plugin(t, "", "register"); code != 0 || strings.TrimSpace(out) != "registered already: "+installedDLL {
		t.Errorf("once more: exit code %d: %s%s", code, out, said)
	}
	if code, _, said := h.plugin(t, "", "unregister"); code != 0 {
		t.Errorf("unregister: exit code %d: %s", code, said)
	}
	for _, key := range []string{classKey, appKey, ccgKey} {
		if left := h.query(t, key); left != nil {
			t.Errorf("%s holds %v", key, left)
		}
	}
	if code, st := h.pluginStatus(t); code != 1 || st.Registered || st.DLL != "" {
		t.Errorf("unregistered: exit code %d, %+v", code, st)
	}
}
