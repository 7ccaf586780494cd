package pluginharness

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/integration/pluginharness/script"
)

// call is what of `plugin call -o json` the tests look at.
type call struct {
	Result, Name, Meaning, Remedy string
	Probe, Reached                bool
	Domain, User                  string
}

// pluginCall runs `gmsa-agent plugin call`, with a grant if there is one.
func (h *host) pluginCall(t testing.TB, grant string) (code int, c call, all string) {
	t.Helper()
	args := []string{"call", "-o", "json"}
	if grant != "" {
		args = append(args, "--grant-file", "-")
	}
	code, out, said := h.plugin(t, grant+"\n", args...)
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatalf("call: exit code %d, %v: %s%s", code, err, out, said)
	}
	return code, c, out + said
}

func (h *host) register(t testing.TB) {
	t.Helper()
	if code, out, said := h.plugin(t, "", "register"); code != 0 {
		t.Fatalf("register: exit code %d: %s%s", code, out, said)
	}
}

func TestACallShowsHowFarItCame(t *testing.T) {
	t.Parallel()
	h := installedHost(t)
	code, _, said := h.plugin(t, "", "call")
	if code != 1 || !strings.Contains(said, "0x80040154: Class not registered") || !strings.Contains(said, "hint: gmsa-agent plugin status") {
		t.Errorf("unregistered: exit code %d: %s", code, said)
	}
	h.register(t)
	if code, c, _ := h.pluginCall(t, ""); code != 1 || c.Name != "GMSA_E_NO_AGENT" || c.Reached || !c.Probe || !strings.Contains(c.Remedy, "Start the agent") {
		t.Errorf("without an agent: exit code %d, %+v", code, c)
	}
	if err := h.serve(t.Context(), "serve"); err != nil {
		t.Fatal(err)
	}
	if code, c, _ := h.pluginCall(t, ""); code != 0 || c.Name != "GMSA_E_NOT_A_GRANT" || !c.Reached || !c.Probe || c.Domain != "" {
		t.Errorf("the probe: exit code %d, %+v", code, c)
	}
	token := script.Token(script.Release)
	want := script.Answer(token)
	code, c, all := h.pluginCall(t, token)
	if code != 0 || c.Name != "S_OK" || c.Probe || !c.Reached || c.Domain != want.Domain || c.User != want.User {
		t.Errorf("a grant: exit code %d, %+v", code, c)
	}
	if strings.Contains(all, "pä$$") {
		t.Errorf("the password is shown: %s", all)
	}
	refused := script.Token(script.Refuse + "2")
	if code, c, all := h.pluginCall(t, refused); code != 1 || c.Name != "GMSA_E_UNKNOWN_GRANT" || !c.Reached || c.Remedy == "" || strings.Contains(all, refused) {
		t.Errorf("a grant that is not live: exit code %d, %+v", code, c)
	}
}

// Of the broken registrations those that Wine's COM minds, too: it starts the
// surrogate also where none is named.
func TestARegistrationThatIsBrokenFailsTheCallAsItsStatusSays(t *testing.T) {
	t.Parallel()
	h := installedHost(t)
	for _, c := range []struct {
		key, value string
		want       string // what the call says, and the difference's effect too
	}{
		{classKey, "AppID", "0x80040154"},
		{`HKLM\SOFTWARE\Classes\Interface\{6ECDA518-2010-4437-8BC3-46E752B7B172}\ProxyStubClsid32`, "", "0x80004002"},
	} {
		h.register(t)
		h.reg(t, append([]string{"delete", c.key, "/f"}, named(c.value)...)...)
		code, out, said := h.plugin(t, "", "call", "--timeout", "90s")
		if code != 1 || !strings.Contains(said, c.want) {
			t.Errorf("without %s of %s: exit code %d: %s%s", valueName(c.value), c.key, code, out, said)
		}
		_, st := h.pluginStatus(t)
		var told bool
		for _, d := range st.Differences {
			told = told || d.Place == c.key && strings.Contains(d.Effect, c.want)
		}
		if !told {
			t.Errorf("without %s of %s: status does not say %s: %+v", valueName(c.value), c.key, c.want, st.Differences)
		}
	}
}

func TestACallRedeemsTheGrantOfALiveContainer(t *testing.T) {
	t.Parallel()
	h := newAgentHost(t)
	for file, as := range map[string]string{h.agent: installedExe, h.dll: installedDLL} {
		if err := h.InstallAs(file, as); err != nil {
			t.Fatal(err)
		}
	}
	h.register(t)
	if _, _, err := h.cli(t.Context(), strings.NewReader("opensesame"), "secret", "put", "--domain", "contoso.com", "--user", "ccg", "contoso"); err != nil {
		t.Fatal(err)
	}
	ref := h.spec(t, "webapp01", "contoso.com", "CONTOSO")
	h.runAgent(t)
	grant := h.admitted(t, []hook.Facts{{
		Key:         hook.Key{Runtime: "containerd", Namespace: "default", ID: "one"},
		Annotations: map[string]string{hook.KeyCredentialSpec: ref, hook.KeySecret: "local://contoso"},
	}})[0]

	if code, c, _ := h.pluginCall(t, ""); code != 0 || c.Name != "GMSA_E_NOT_A_GRANT" || !c.Reached {
		t.Errorf("the probe: exit code %d, %+v", code, c)
	}
	code, c, all := h.pluginCall(t, grant)
	if code != 0 || c.Name != "S_OK" || c.Domain != "contoso.com" || c.User != "ccg" || strings.Contains(all, "opensesame") || strings.Contains(all, grant) {
		t.Errorf("exit code %d, %+v", code, c)
	}
}
