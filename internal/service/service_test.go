package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// fakeManager has services in memory. A service runs what its program's file
// says: "1.0 ready", "1.0 hangs" or "1.0 ends".
type fakeManager struct {
	services map[string]*fakeService
	pid      int
	calls    []string
	fail     map[string]error // by call, as in calls
}

type fakeService struct {
	def     Definition
	running bool
	pid     int
	started string // what the program's file said when it was started
	ended   string
}

func (m *fakeManager) call(what string) error {
	m.calls = append(m.calls, what)
	return m.fail[what]
}

func (m *fakeManager) Look(name string) (Found, error) {
	s := m.services[name]
	if s == nil {
		return Found{State: Absent}, nil
	}
	saved, err := json.Marshal(s.def)
	f := Found{State: Stopped, Program: commandLine(s.def), Saved: saved, Ended: s.ended}
	if s.running {
		f.State, f.PID, f.Ended = Running, s.pid, ""
	}
	return f, err
}

func (m *fakeManager) Differences(d Definition) ([]string, error) {
	s := m.services[d.Name]
	switch {
	case s == nil:
		return []string{"there is no service " + d.Name}, nil
	case !cmp.Equal(s.def, d):
		return []string{"it is another one"}, nil
	}
	return nil, nil
}

func (m *fakeManager) Define(d Definition) ([]string, error) {
	if err := m.call("define " + d.Name); err != nil {
		return nil, err
	}
	if m.services[d.Name] == nil {
		m.services[d.Name] = &fakeService{}
	}
	m.services[d.Name].def = d
	return []string{"no SID"}, nil
}

func (m *fakeManager) Restore(name string, saved json.RawMessage) error {
	if err := m.call("restore " + name); err != nil {
		return err
	}
	if saved == nil {
		delete(m.services, name)
		return nil
	}
	var d Definition
	if err := json.Unmarshal(saved, &d); err != nil {
		return err
	}
	if m.services[name] == nil {
		m.services[name] = &fakeService{}
	}
	m.services[name].def = d
	return nil
}

func (m *fakeManager) Start(_ context.Context, name string) error {
	if err := m.call("start " + name); err != nil {
		return err
	}
	s := m.services[name]
	program, err := os.ReadFile(s.def.Program)
	if err != nil {
		return err
	}
	s.started = string(program)
	if strings.Contains(s.started, "ends") {
		s.ended = "exit code 2"
		return nil
	}
	m.pid++
	s.running, s.pid = true, m.pid
	return nil
}

func (m *fakeManager) Stop(_ context.Context, name string) error {
	if err := m.call("stop " + name); err != nil {
		return err
	}
	if s := m.services[name]; s != nil {
		s.running = false
	}
	return nil
}

// answer is that of the agent that runs.
func (m *fakeManager) answer(context.Context) (Answer, error) {
	s := m.services[Name]
	if s == nil || !s.running || strings.Contains(s.started, "hangs") {
		return Answer{}, fmt.Errorf("nobody answers: %w", fault.ErrUnavailable)
	}
	version, _, _ := strings.Cut(s.started, " ")
	return Answer{Version: version, PID: s.pid}, nil
}

// fakeRegistration has one file registered, or none.
type fakeRegistration struct{ file string }

func (e *fakeRegistration) Differences(file string) ([]string, error) {
	if e.file == file {
		return nil, nil
	}
	return []string{"it is registered as another file"}, nil
}
func (e *fakeRegistration) Register(file string) error     { e.file = file; return nil }
func (e *fakeRegistration) Save() (json.RawMessage, error) { return json.Marshal(e.file) }
func (e *fakeRegistration) Restore(saved json.RawMessage) error {
	return json.Unmarshal(saved, &e.file)
}

// world is a host of a test.
type world struct {
	*testing.T
	root    string
	host    *Host
	manager *fakeManager
	plugin  *fakeRegistration
	events  *fakeRegistration
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, root: t.TempDir(), plugin: &fakeRegistration{}, events: &fakeRegistration{}}
	w.manager = &fakeManager{services: map[string]*fakeService{}, fail: map[string]error{}}
	w.host = &Host{
		Programs: filepath.Join(w.root, "Program Files", "gmsa-agent"), Records: filepath.Join(w.root, "data", "gmsa-agent"),
		Manager: w.manager, Plugin: w.plugin, Events: w.events, Answer: w.manager.answer, Patience: 300 * time.Millisecond,
	}
	for _, dir := range []string{"Program Files", "data", "packages"} {
		if err := os.Mkdir(filepath.Join(w.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

const shimFile = "shim/shim.exe"

func (w *world) shim() string { return filepath.Join(w.host.Programs, "shim", "shim.exe") }

// pack is a package of a version whose agent behaves as said.
func (w *world) pack(version, behaves string) Package {
	dir := filepath.Join(w.root, "packages", version+behaves)
	if err := os.MkdirAll(filepath.Join(dir, "shim"), 0o755); err != nil {
		w.Fatal(err)
	}
	source := func(name, text string) string {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			w.Fatal(err)
		}
		return path
	}
	p := Package{Version: version, Plugin: "plugin.dll", State: []string{filepath.Join(w.host.Records, "secrets")}}
	p.Files = []File{
		{Name: "agent.exe", Source: source("agent.exe", version+" "+behaves)},
		{Name: "plugin.dll", Source: source("plugin.dll", "plugin "+version)},
		{Name: shimFile, Source: source(shimFile, "shim "+version), Stable: w.shim()},
	}
	p.Services = []Definition{{Name: Name, DisplayName: "gMSA", Program: "agent.exe", Args: []string{"run"}}}
	return p
}

// everything is the host's files with their contents, its services and its registry.
func (w *world) everything() map[string]string {
	all := map[string]string{"events": w.events.file, "plugin": w.plugin.file}
	err := filepath.WalkDir(w.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(w.root, path)
		if err != nil || strings.HasPrefix(rel, "packages") {
			return err
		}
		if d.IsDir() {
			all[rel] = "folder"
			return nil
		}
		data, err := os.ReadFile(path)
		all[rel] = string(data)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	for name, s := range w.manager.services {
		all["service "+name] = fmt.Sprint(commandLine(s.def), s.running)
	}
	return all
}

func (w *world) install(p Package) *Report {
	w.Helper()
	r, err := w.host.Install(w.Context(), p, false)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) uninstall(purge bool) *Report {
	w.Helper()
	r, err := w.host.Uninstall(w.Context(), purge, false)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) same(want map[string]string) {
	w.Helper()
	if diff := cmp.Diff(want, w.everything()); diff != "" {
		w.Errorf("the host (-before +after):\n%s", diff)
	}
}

// serves checks that this version runs, is registered and stands at the stable path.
func (w *world) serves(version string) {
	w.Helper()
	s, err := w.host.Status(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	if !s.Installed || s.Version != version || s.Running != version || len(s.Problems) > 0 {
		w.Errorf("want version %s, status: %+v", version, s)
	}
	if data, _ := os.ReadFile(w.shim()); string(data) != "shim "+version {
		w.Errorf("the shim is %q", data)
	}
	if data, _ := os.ReadFile(s.Plugin.Path); string(data) != "plugin "+version {
		w.Errorf("the plugin is %q", data)
	}
	if !strings.HasPrefix(w.events.file, s.Paths.Folder) {
		w.Errorf("the event source is %q", w.events.file)
	}
}

func TestInstallAndUninstallLeaveTheHostAsItWas(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"an empty host": func(*world) {},
		"a host with another's service, shim, plugin and event source": func(w *world) {
			w.manager.services[Name] = &fakeService{def: Definition{Name: Name, Program: "other"}}
			if err := os.MkdirAll(filepath.Dir(w.shim()), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(w.shim(), []byte("another shim"), 0o755); err != nil {
				t.Fatal(err)
			}
			w.plugin.file = "another plugin"
			w.events.file = "others' messages"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			before := w.everything()
			w.install(w.pack("1.0", "ready"))
			w.serves("1.0")
			w.install(w.pack("2.0", "ready"))
			w.serves("2.0")
			w.uninstall(true)
			w.same(before)
		})
	}
}

func TestInstallingAgainDoesNothing(t *testing.T) {
	w := newWorld(t)
	p := w.pack("1.0", "ready")
	w.install(p)
	before, calls := w.everything(), len(w.manager.calls)
	if r := w.install(p); r.Changed {
		t.Errorf("%+v", r)
	}
	w.same(before)
	if more := w.manager.calls[calls:]; len(more) > 0 {
		t.Errorf("the manager was called: %v", more)
	}
}

func TestInstallHealsWhatWasBroken(t *testing.T) {
	for name, breaks := range map[string]func(w *world) error{
		"a program that is gone": func(w *world) error { return os.Remove(w.manager.services[Name].def.Program) },
		"a program that was changed": func(w *world) error {
			return os.WriteFile(w.manager.services[Name].def.Program, []byte("1.0 other"), 0o755)
		},
		"a shim that is gone":           func(w *world) error { return os.Remove(w.shim()) },
		"a plugin that is unregistered": func(w *world) error { w.plugin.file = ""; return nil },
		"a service that is gone":        func(w *world) error { delete(w.manager.services, Name); return nil },
		"a service that is stopped":     func(w *world) error { w.manager.services[Name].running = false; return nil },
		"an event source that is gone":  func(w *world) error { w.events.file = ""; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.pack("1.0", "ready")
			w.install(p)
			before := w.everything()
			if err := breaks(w); err != nil {
				t.Fatal(err)
			}
			if s, err := w.host.Status(t.Context()); err != nil || len(s.Problems) == 0 {
				t.Errorf("status sees no problem: %+v, %v", s, err)
			}
			if r := w.install(p); !r.Changed {
				t.Errorf("%+v", r)
			}
			delete(before, "data/gmsa-agent/install.json") // knows of the files in use
			after := w.everything()
			delete(after, "data/gmsa-agent/install.json")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("the host (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAVersionThatDoesNotBecomeReadyIsRolledBack(t *testing.T) {
	for _, behaves := range []string{"ends", "hangs"} {
		t.Run(behaves, func(t *testing.T) {
			w := newWorld(t)
			w.install(w.pack("1.0", "ready"))
			before := w.everything()
			_, err := w.host.Install(t.Context(), w.pack("2.0", behaves), false)
			back, ok := errors.AsType[*RolledBackError](err)
			if !ok || back.Version != "2.0" || back.Back != "1.0" || back.Undo != nil {
				t.Fatalf("error %v", err)
			}
			if behaves == "ends" && !strings.Contains(err.Error(), "exit code 2") {
				t.Errorf("the error does not say why: %v", err)
			}
			w.same(before)
			w.serves("1.0")
		})
	}
	t.Run("and a first one leaves nothing", func(t *testing.T) {
		w := newWorld(t)
		before := w.everything()
		_, err := w.host.Install(t.Context(), w.pack("1.0", "ends"), false)
		if back, ok := errors.AsType[*RolledBackError](err); !ok || back.Back != "" {
			t.Errorf("error %v", err)
		}
		w.same(before)
	})
}

var errFull = errors.New("the disk is full")

// eachStep is the names of the steps of an upgrade, from the plan itself.
func (w *world) eachStep(p Package) (names []string) {
	w.Helper()
	r, err := w.host.Install(w.Context(), p, true)
	if err != nil {
		w.Fatal(err)
	}
	for _, s := range r.Steps {
		names = append(names, s.Name)
	}
	if len(names) < 6 {
		w.Fatalf("the plan has the steps %q", names)
	}
	return names
}

func TestWhereverAnUpgradeFailsTheOldVersionIsBack(t *testing.T) {
	w := newWorld(t)
	for _, name := range w.eachStep(w.pack("2.0", "ready")) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.install(w.pack("1.0", "ready"))
			before := w.everything()
			w.host.at = func(step string) error {
				if step == name {
					return errFull
				}
				return nil
			}
			_, err := w.host.Install(t.Context(), w.pack("2.0", "ready"), false)
			if failed, ok := errors.AsType[*StepError](err); !ok || failed.Step != name || !errors.Is(err, errFull) {
				t.Errorf("error %v", err)
			}
			w.same(before)
			w.serves("1.0")
		})
	}
}

func TestTheErrorOfTheWayBackIsReportedToo(t *testing.T) {
	w := newWorld(t)
	w.install(w.pack("1.0", "ready"))
	w.manager.fail["start "+Name], w.manager.fail["stop "+Name] = errFull, errors.New("it does not stop")
	_, err := w.host.Install(t.Context(), w.pack("2.0", "ready"), false)
	for _, want := range []string{"it does not stop", "version 1.0 is back, but for this", "undo start gmsa-agent"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	w.manager.fail = map[string]error{}
	w.install(w.pack("2.0", "ready"))
	w.serves("2.0")
}

// crash ends the world before the named step.
func (w *world) crash(name string) {
	w.host.at = func(step string) error {
		if step == name {
			return errCrash
		}
		return nil
	}
}

func (w *world) restart() { w.host.at = nil }

func TestAnInstallationThatWasCutOffIsTakenBackByTheNextCall(t *testing.T) {
	probe := newWorld(t)
	for _, name := range probe.eachStep(probe.pack("2.0", "ready")) {
		for _, upgrade := range []bool{false, true} {
			for _, next := range []string{"install the same", "install another", "uninstall"} {
				t.Run(fmt.Sprintf("%s, upgrade %v, then %s", name, upgrade, next), func(t *testing.T) {
					w := newWorld(t)
					empty := w.everything()
					if upgrade {
						w.install(w.pack("1.0", "ready"))
					}
					w.crash(name)
					if _, err := w.host.Install(t.Context(), w.pack("2.0", "ready"), false); !errors.Is(err, errCrash) {
						t.Fatalf("error %v", err)
					}
					w.restart()
					if s, err := w.host.Status(t.Context()); err != nil || s.Interrupted != Install || len(s.Problems) == 0 {
						t.Errorf("status %+v, %v", s, err)
					}
					switch next {
					case "install the same":
						w.install(w.pack("2.0", "ready"))
						w.serves("2.0")
					case "install another":
						w.install(w.pack("3.0", "ready"))
						w.serves("3.0")
					}
					w.uninstall(true)
					w.same(empty)
				})
			}
		}
	}
}

func TestARemovalThatWasCutOffIsCompletedByTheNextCall(t *testing.T) {
	probe := newWorld(t)
	probe.install(probe.pack("1.0", "ready"))
	plan, err := probe.host.Uninstall(t.Context(), true, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Steps {
		for _, next := range []string{"uninstall", "install"} {
			t.Run(s.Name+", then "+next, func(t *testing.T) {
				w := newWorld(t)
				empty := w.everything()
				w.install(w.pack("1.0", "ready"))
				w.crash(s.Name)
				if _, err := w.host.Uninstall(t.Context(), true, false); !errors.Is(err, errCrash) {
					t.Fatalf("error %v", err)
				}
				w.restart()
				if next == "install" {
					w.install(w.pack("2.0", "ready"))
					w.serves("2.0")
				}
				w.uninstall(true)
				w.same(empty)
			})
		}
	}
}

func TestTheVersionBeforeIsKeptAndNoOlderOne(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"1.0", "2.0", "3.0"} {
		w.install(w.pack(version, "ready"))
	}
	entries, err := os.ReadDir(filepath.Join(w.host.Programs, versionsFolder))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		version, _, _ := strings.Cut(e.Name(), "-")
		names = append(names, version)
	}
	if diff := cmp.Diff([]string{"2.0", "3.0"}, names); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	s, err := w.host.Status(t.Context())
	if err != nil || s.Previous != "2.0" {
		t.Errorf("status %+v, %v", s, err)
	}
	// Back to it, from its package.
	w.install(w.pack("2.0", "ready"))
	w.serves("2.0")
}

func TestUninstallKeepsTheStateUnlessItIsToPurge(t *testing.T) {
	for _, purge := range []bool{false, true} {
		w := newWorld(t)
		w.install(w.pack("1.0", "ready"))
		secret := filepath.Join(w.host.Records, "secrets", "contoso")
		if err := os.Mkdir(filepath.Dir(secret), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(secret, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r := w.uninstall(purge)
		_, err := os.Stat(secret)
		if kept := err == nil; kept == purge || kept != (len(r.Kept) == 1) {
			t.Errorf("purge %v: kept %v, reported %q", purge, kept, r.Kept)
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	before := w.everything()
	r, err := w.host.Install(t.Context(), w.pack("1.0", "ready"), true)
	if err != nil || !r.Changed || !r.DryRun {
		t.Fatalf("%+v, %v", r, err)
	}
	w.same(before)
	w.install(w.pack("1.0", "ready"))
	before = w.everything()
	if r, err := w.host.Uninstall(t.Context(), true, true); err != nil || !r.Changed {
		t.Fatalf("%+v, %v", r, err)
	}
	w.same(before)
}

func TestWhatIsNotInstalledIsNotRemovedStartedOrStopped(t *testing.T) {
	w := newWorld(t)
	_, err := w.host.Uninstall(t.Context(), false, false)
	for _, err := range []error{err, w.host.Start(t.Context()), w.host.Stop(t.Context())} {
		if !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	}
}

func TestAVersionWithMoreOrFewerServices(t *testing.T) {
	w := newWorld(t)
	gate := Definition{Name: "gmsa-agent-docker", DisplayName: "gate", Program: "agent.exe", Args: []string{"gate"}}
	before := w.everything()
	w.install(w.pack("1.0", "ready"))
	two := w.pack("2.0", "ready")
	two.Services = append(two.Services, gate)
	w.install(two)
	if s := w.manager.services[gate.Name]; s == nil || !s.running {
		t.Errorf("the second service: %+v", s)
	}
	w.install(w.pack("3.0", "ready"))
	if s := w.manager.services[gate.Name]; s != nil {
		t.Errorf("the second service is left: %+v", s)
	}
	w.install(two)
	w.uninstall(true)
	w.same(before)
}

func TestAPackageThatOthersCouldChangeIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mode is no access list; internal/private has the test for those")
	}
	w := newWorld(t)
	p := w.pack("1.0", "ready")
	if err := os.Chmod(p.Files[1].Source, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := w.host.Install(t.Context(), p, false); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("error %v", err)
	}
}

func TestTwoInstallationsAtOnceDoNotMix(t *testing.T) {
	w := newWorld(t)
	w.install(w.pack("1.0", "ready"))
	unlock, err := w.host.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock() //nolint:errcheck // the test's end
	if _, err := w.host.Install(t.Context(), w.pack("2.0", "ready"), false); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}
