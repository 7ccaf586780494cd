package pluginharness

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// finding is one of `doctor -o json`.
type finding struct{ Check, State, Message, Hint string }

// doctor runs `gmsa-agent doctor`; its findings by their names, the last of each.
func (h *host) doctor(t testing.TB) map[string]finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := h.Command(ctx, installedExe, "doctor", "-o", "json").Output()
	var all []finding
	if failed := json.Unmarshal(out, &all); failed != nil {
		t.Fatalf("%v, %v: %s", err, failed, out)
	}
	found := map[string]finding{}
	for _, f := range all {
		found[f.Check] = f
	}
	return found
}

// Wine has COM and the registry; of CCG, the event log and domains nothing is
// shown here.
func TestTheDoctorSeesHowFarThePluginComes(t *testing.T) {
	t.Parallel()
	h := installedHost(t)
	type want struct{ check, state, says, hint string }
	expect := func(when string, wants ...want) {
		t.Helper()
		found := h.doctor(t)
		for _, w := range wants {
			f := found[w.check]
			if f.State != w.state || !strings.Contains(f.Message, w.says) || !strings.Contains(f.Hint, w.hint) {
				t.Errorf("%s: %+v, want %+v", when, f, w)
			}
		}
	}
	expect("unregistered",
		want{"plugin", "failed", "no plugin is registered", "gmsa-agent plugin register"},
		want{"plugin call", "skipped", "no plugin is registered", ""})
	h.register(t)
	expect("without an agent",
		want{"plugin call", "failed", "GMSA_E_NO_AGENT", "gmsa-agent service start"},
		want{"plugin channel", "failed", "unavailable", "gmsa-agent run"})
	if err := h.serve(t.Context(), "serve"); err != nil {
		t.Fatal(err)
	}
	expect("with an agent",
		want{"plugin call", "ok", "reached the agent", ""},
		want{"plugin channel", "ok", "serves it", ""})
}
