package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// systemctlDouble stands in for systemctl and the systemd behind it, which no
// machine of ours runs: it keeps what it is asked to and says what show says.
type systemctlDouble struct {
	calls   []string
	enabled bool
	active  string
	result  string
	fail    string // the verb that fails
}

func (d *systemctlDouble) run(_ context.Context, args ...string) ([]byte, error) {
	verb := args[0]
	if verb != "show" {
		d.calls = append(d.calls, strings.Join(args, " "))
	}
	if verb == d.fail {
		return nil, fmt.Errorf("%w: exit status 1", fault.ErrUnavailable)
	}
	switch verb {
	case "enable", "disable":
		d.enabled = verb == "enable"
	case "start":
		d.active = "active"
	case "stop":
		d.active = "inactive"
	case "show":
		state := map[bool]string{true: "enabled", false: "disabled"}[d.enabled]
		return fmt.Appendf(nil, "MainPID=42\nResult=%s\nExecMainStatus=2\nActiveState=%s\nUnitFileState=%s\n", d.result, d.active, state), nil
	}
	return nil, nil
}

// newSystemd has its units below a folder of the test, and everything else as
// on a host that runs.
func newSystemd(t *testing.T) (*Systemd, *systemctlDouble) {
	d := &systemctlDouble{active: "inactive", result: "success"}
	return &Systemd{folder: t.TempDir(), Systemctl: d.run}, d
}

var definition = Definition{Name: Name, Description: "gMSA", Program: "/usr/local/lib/gmsa-agent/versions/1.0-abc/gmsa-agent", Args: []string{"run"}, Writable: []string{"/var/lib/gmsa-agent"}}

func TestAUnitIsWrittenEnabledAndRemoved(t *testing.T) {
	s, d := newSystemd(t)
	found, err := s.Look(Name)
	if err != nil || found.State != Absent || found.Saved != nil {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, err := s.Define(definition); err != nil {
		t.Fatal(err)
	}
	if differences, err := s.Differences(definition); err != nil || len(differences) > 0 {
		t.Errorf("%q, %v", differences, err)
	}
	if err := s.Start(t.Context(), Name); err != nil {
		t.Fatal(err)
	}
	if found, err = s.Look(Name); err != nil || found.State != Running || found.PID != 42 || found.Program != definition.Program+" run" {
		t.Errorf("%+v, %v", found, err)
	}
	if err := errors.Join(s.Stop(t.Context(), Name), s.Restore(Name, nil), s.Restore(Name, nil)); err != nil {
		t.Fatal(err)
	}
	want := []string{"daemon-reload", "enable gmsa-agent.service", "start gmsa-agent.service", "stop gmsa-agent.service", "disable gmsa-agent.service", "daemon-reload"}
	if diff := cmp.Diff(want, d.calls); diff != "" {
		t.Errorf("calls of systemctl (-want +got):\n%s", diff)
	}
	if entries, err := os.ReadDir(s.folder); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestAnothersUnitIsBroughtBack(t *testing.T) {
	s, d := newSystemd(t)
	theirs := []byte("[Service]\nExecStart=/opt/other\n")
	if err := os.WriteFile(s.path(Name), theirs, 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := s.Look(Name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Define(definition); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(Name, before.Saved); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.path(Name))
	if err != nil || string(text) != string(theirs) || d.enabled {
		t.Errorf("%q, enabled %v, %v", text, d.enabled, err)
	}
}

func TestDifferencesOfAUnitAreNamed(t *testing.T) {
	s, d := newSystemd(t)
	other := definition
	other.Program = "/old"
	if _, err := s.Define(other); err != nil {
		t.Fatal(err)
	}
	d.enabled = false
	differences, err := s.Differences(definition)
	if err != nil || len(differences) != 2 || !strings.Contains(differences[0], "/old run") || !strings.Contains(differences[1], "does not start with the host") {
		t.Errorf("%q, %v", differences, err)
	}
}

func TestAStartThatFailsSaysHowTheServiceEnded(t *testing.T) {
	s, d := newSystemd(t)
	if _, err := s.Define(definition); err != nil {
		t.Fatal(err)
	}
	d.fail, d.active, d.result = "start", "failed", "exit-code"
	err := s.Start(t.Context(), Name)
	ended, ok := errors.AsType[*EndedError](err)
	if !ok || ended.How != "exit-code, exit code 2" {
		t.Errorf("error %v", err)
	}
}

func TestAUnitQuotesWhatStandsForSomethingElse(t *testing.T) {
	d := definition
	d.Args = []string{"--config", `/etc/my agent/50%$HOME".yaml`, "run"}
	want := `ExecStart=` + definition.Program + ` --config "/etc/my agent/50%%$$HOME\".yaml" run`
	if lines := strings.Split(string(Unit(d)), "\n"); !slices.Contains(lines, want) {
		t.Errorf("no line %s in\n%s", want, Unit(d))
	}
}

// systemd's own reader says whether it understands the unit. It wants the
// program to be there.
func TestSystemdUnderstandsTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze on this machine")
	}
	d := definition
	d.Program = "/bin/true"
	path := filepath.Join(t.TempDir(), "gmsa-agent-test.service")
	if err := os.WriteFile(path, Unit(d), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSavedUnitsThatAreNoneAreRefused(t *testing.T) {
	s, _ := newSystemd(t)
	if err := s.Restore(Name, json.RawMessage(`"x"`)); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("error %v", err)
	}
}
