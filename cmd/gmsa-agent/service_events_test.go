package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

// oneService is a service manager with one service, whose agent answers with the
// version that is in its program's file.
type oneService struct {
	def     *service.Definition
	running bool
	fails   error // of Restore
}

func (m *oneService) Look(string) (service.Found, error) {
	if m.def == nil {
		return service.Found{State: service.Absent}, nil
	}
	f := service.Found{State: service.Stopped, Program: m.def.Program}
	if m.running {
		f.State, f.PID = service.Running, 1
	}
	return f, nil
}

func (m *oneService) Differences(d service.Definition) ([]string, error) {
	if m.def == nil || !cmp.Equal(*m.def, d) {
		return []string{"it is another one"}, nil
	}
	return nil, nil
}

func (m *oneService) Define(d service.Definition) ([]string, error) {
	m.def = &d
	return nil, nil
}

func (m *oneService) Restore(_ string, saved json.RawMessage) error {
	if saved == nil {
		m.def = nil
	}
	return m.fails
}

func (m *oneService) Start(context.Context, string) error {
	m.running = true
	return nil
}

func (m *oneService) Stop(context.Context, string) error {
	m.running = false
	return nil
}

func (m *oneService) answer(context.Context) (service.Answer, error) {
	text, err := os.ReadFile(m.def.Program)
	if string(text) == "broken" {
		err = errors.New("nobody answers")
	}
	return service.Answer{Version: string(text), PID: 1}, err
}

func TestEveryEventOfTheServiceIsProduced(t *testing.T) {
	defer func(f func(eventlog.Entry) error) { report = f }(report)
	var got []eventlog.Entry
	report = func(e eventlog.Entry) error {
		got = append(got, e)
		return errors.New("there is no log, which is no concern of the command's")
	}
	dir := t.TempDir()
	m := &oneService{}
	h := &service.Host{
		Programs: filepath.Join(dir, "programs"), Records: filepath.Join(dir, "records"), Manager: m, Answer: m.answer, Patience: time.Millisecond,
	}
	install := func(version, program string) {
		file := filepath.Join(dir, "gmsa-agent-"+version)
		if err := os.WriteFile(file, []byte(program), 0o700); err != nil {
			t.Fatal(err)
		}
		tellOfService(h.Install(t.Context(), service.Package{
			Version: version, Files: []service.File{{Name: "gmsa-agent", Source: file}},
			Services: []service.Definition{{Name: service.Name, Program: "gmsa-agent"}},
		}, false))
	}
	want := func(id eventlog.ID, params ...string) {
		t.Helper()
		if len(got) != 1 || got[0].ID != id {
			t.Fatalf("got %v, want event %d", got, id)
		}
		if diff := cmp.Diff(params, got[0].Params[:len(params)]); diff != "" {
			t.Error(diff)
		}
		got = nil
	}
	seen := map[eventlog.ID]bool{}
	step := func(id eventlog.ID, params ...string) {
		t.Helper()
		want(id, params...)
		seen[id] = true
	}

	install("1.0", "1.0")
	step(eventlog.ServiceInstalled, "1.0")
	install("1.0", "1.0")
	if got != nil {
		t.Errorf("nothing was done, and told: %v", got)
	}
	install("1.1", "1.1")
	step(eventlog.ServiceUpgraded, "1.1", "1.0")
	install("1.2", "broken")
	step(eventlog.ServiceRolledBack, "1.2", "1.1")
	m.fails = errors.New("the service is marked for deletion")
	tellOfService(h.Uninstall(t.Context(), false, false))
	step(eventlog.ServiceFailed, "uninstall")
	m.fails = nil
	tellOfService(h.Uninstall(t.Context(), false, false))
	step(eventlog.ServiceRemoved, "1.1")
	tellOfService(h.Uninstall(t.Context(), false, false))
	if got != nil {
		t.Errorf("there was nothing to remove, and that was told: %v", got)
	}

	for _, e := range eventlog.Table {
		if eventlog.Categories[e.Category()-1].Name == "Service" && !seen[e.ID] {
			t.Errorf("nothing here brings about event %d, %s", e.ID, e.Name)
		}
	}
}
