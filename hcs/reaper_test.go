package hcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

const (
	canaryCookie = "canary-cookie"
	canarySpec   = `{"canary":"spec"}`
)

// fakeHCS keeps CCG instances as HCS does, behind the two service calls.
type fakeHCS struct {
	mu        sync.Mutex
	instances map[string]string // ID → transport
	systems   []System
	removed   []string
	fail      map[string]error // of removals, by ID
	listFails error
}

func (f *fakeHCS) service() *Service { return newService(f.properties, f.modify) }

func (f *fakeHCS) properties(query []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listFails != nil {
		return nil, f.listFails
	}
	if string(query) != string(QueryInstances()) {
		return nil, fmt.Errorf("query %s: %w", query, fault.ErrMalformed)
	}
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(f.instances)) {
		list = append(list, map[string]any{"Id": id, "CredentialGuard": map[string]any{
			"Cookie": canaryCookie, "RpcEndpoint": "e", "Transport": f.instances[id], "CredentialSpec": canarySpec,
		}})
	}
	return json.Marshal(map[string]any{"Properties": []any{map[string]any{"Instances": list}}})
}

func (f *fakeHCS) modify(request []byte) error {
	m, err := ParseModification(request)
	if err != nil {
		return err
	}
	d, ok := m.Settings.OperationDetails.(*ContainerCredentialGuardRemoveInstanceRequest)
	if !ok {
		return fmt.Errorf("%T: %w", m.Settings.OperationDetails, fault.ErrMalformed)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail[d.Id]; err != nil {
		return err
	}
	if _, ok := f.instances[d.Id]; !ok {
		return fault.ErrNotFound
	}
	delete(f.instances, d.Id)
	f.removed = append(f.removed, d.Id)
	return nil
}

func (f *fakeHCS) list(context.Context) ([]System, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.systems), nil
}

func (f *fakeHCS) left() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.instances))
}

// fakeRuntime answers as the test says.
type fakeRuntime struct {
	name   string
	mu     sync.Mutex
	answer func(ctx context.Context) ([]Container, error)
}

func (f *fakeRuntime) Name() string { return f.name }

func (f *fakeRuntime) Containers(ctx context.Context) ([]Container, error) {
	f.mu.Lock()
	answer := f.answer
	f.mu.Unlock()
	return answer(ctx)
}

func (f *fakeRuntime) set(answer func(context.Context) ([]Container, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func having(place string, ids ...string) func(context.Context) ([]Container, error) {
	return func(context.Context) ([]Container, error) {
		list := []Container{}
		for _, id := range ids {
			list = append(list, Container{ID: id, Place: place})
		}
		return list, nil
	}
}

func failing(err error) func(context.Context) ([]Container, error) {
	return func(context.Context) ([]Container, error) { return nil, err }
}

// grants are live ones, by container.
type grants struct {
	mu sync.Mutex
	of map[string]string
}

func (g *grants) Grants() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.of)
}

func id(n int) string { return fmt.Sprintf("%064x", n) }

// leakyHost has 50 instances: containers 0 to 11 are containerd's and 12 to 19
// Docker's, all of which HCS runs; 20 to 49 are of containers that are gone.
type leakyHost struct {
	*Reaper
	hcs                *fakeHCS
	containerd, docker *fakeRuntime
	grants             *grants
	before             func(Removal) error
	release            chan struct{} // is closed when the test ends

	mu     sync.Mutex
	audit  []Removal
	leaked []string
	live   []string
}

var timing = Timing{Reap: true, Interval: time.Minute, Grace: 10 * time.Minute}

func newLeakyHost() *leakyHost {
	h := &leakyHost{hcs: &fakeHCS{instances: map[string]string{}}, grants: &grants{}, release: make(chan struct{})}
	for n := range 50 {
		h.hcs.instances[id(n)] = "LRPC"
		if n >= 20 {
			h.leaked = append(h.leaked, id(n))
			continue
		}
		h.live = append(h.live, id(n))
		h.hcs.systems = append(h.hcs.systems, System{ID: id(n), Type: "Container", State: "Running"})
	}
	h.containerd = &fakeRuntime{name: "containerd", answer: having("containerd/k8s.io", h.live[:12]...)}
	h.docker = &fakeRuntime{name: "docker", answer: having("docker", h.live[12:]...)}
	h.before = func(r Removal) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !slices.Contains(h.hcs.left(), r.ID) {
			return errors.New("recorded after it took effect")
		}
		h.audit = append(h.audit, r)
		return nil
	}
	h.Reaper = newReaper(h.hcs.service(), h.hcs.list, []Runtime{h.containerd, h.docker}, h.grants, timing, slog.New(slog.DiscardHandler))
	return h
}

// run runs the reaper until the test ends.
func (h *leakyHost) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx, h.before)
	}()
	t.Cleanup(func() {
		close(h.release)
		cancel()
		<-done
	})
	synctest.Wait()
}

func (h *leakyHost) after(d time.Duration) { time.Sleep(d); synctest.Wait() }

func (h *leakyHost) removed(t *testing.T, want []string) {
	t.Helper()
	h.hcs.mu.Lock()
	got := slices.Sorted(slices.Values(h.hcs.removed))
	h.hcs.mu.Unlock()
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
}

func TestThirtyLeakedInstancesAmongTwentyLiveOnesAreReapedAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		h.run(t)
		h.after(timing.Grace - time.Second)
		h.removed(t, nil)
		if s := h.Status(); s.Instances != 50 || s.Orphaned != 30 || s.Removed != 0 {
			t.Errorf("within the grace: %+v", s)
		}
		h.after(time.Minute)
		h.removed(t, h.leaked)
		if left := h.hcs.left(); !slices.Equal(left, slices.Sorted(slices.Values(h.live))) {
			t.Errorf("left: %q", left)
		}
		if len(h.audit) != 30 {
			t.Errorf("%d audit records", len(h.audit))
		}
		if s := h.Status(); s.Instances != 20 || s.Orphaned != 0 || s.Removed != 30 || s.Failed != 0 || s.LastError != "" {
			t.Errorf("after it: %+v", s)
		}
		h.after(2 * time.Hour)
		h.removed(t, h.leaked)
	})
}

// Each of these is wrong in one way, for a day; the others answer well.
func TestAWrongAnswerOfOneReapsNothing(t *testing.T) {
	for name, wrong := range map[string]func(*leakyHost){
		"containerd errs": func(h *leakyHost) { h.containerd.set(failing(errors.New("connection refused"))) },
		"docker errs":     func(h *leakyHost) { h.docker.set(failing(errors.New("connection refused"))) },
		"docker hangs": func(h *leakyHost) {
			h.docker.set(func(ctx context.Context) ([]Container, error) { <-ctx.Done(); return nil, ctx.Err() })
		},
		"containerd hangs, whatever it is told": func(h *leakyHost) {
			h.containerd.set(func(context.Context) ([]Container, error) { <-h.release; return nil, nil })
		},
		"containerd answers in part": func(h *leakyHost) {
			h.containerd.set(func(context.Context) ([]Container, error) {
				return []Container{{ID: id(0), Place: "containerd/k8s.io"}}, errors.New("the stream broke")
			})
		},
		"containerd forgets all containers": func(h *leakyHost) { h.containerd.set(having("containerd/k8s.io")) },
		"docker forgets one container":      func(h *leakyHost) { h.docker.set(having("docker", h.live[13:]...)) },
		"containerd forgets one that HCS does not run": func(h *leakyHost) {
			h.containerd.set(having("containerd/k8s.io", h.live[1:12]...))
			h.hcs.systems = h.hcs.systems[1:]
			h.grants.of = map[string]string{id(0): "g-1"}
		},
		"HCS does not list its systems": func(h *leakyHost) {
			h.systems = func(context.Context) ([]System, error) { return nil, errors.New("HRESULT 0x1") }
		},
		"HCS does not list its instances": func(h *leakyHost) { h.hcs.listFails = errors.New("HRESULT 0x1") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newLeakyHost()
				wrong(h)
				h.run(t)
				h.after(2 * time.Hour)
				h.removed(t, nil)
				if s := h.Status(); s.Unclear == "" && s.LastError == "" {
					t.Errorf("nobody is told: %+v", s)
				}
			})
		})
	}
}

func TestTheGraceBeginsAnewAfterAnUnclearLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		h.run(t)
		h.after(9 * time.Minute)
		well := h.docker.answer
		h.docker.set(failing(errors.New("restarting")))
		h.after(time.Minute)
		h.docker.set(well)
		h.after(10 * time.Minute)
		h.removed(t, nil)
		h.after(2 * time.Minute)
		h.removed(t, h.leaked)
	})
}

// Whoever asks by hand while a runtime restarts does not put off the reaper.
func TestAnUnclearLookByHandChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		h.run(t)
		h.after(5*time.Minute + time.Second)
		well := h.docker.answer
		h.docker.set(failing(errors.New("restarting")))
		report, err := h.List(t.Context())
		if err != nil || !strings.Contains(report.Unclear, "docker: restarting") {
			t.Errorf("%s, %v", report.Unclear, err)
		}
		for _, f := range report.Instances {
			if want := map[bool]State{true: Live, false: Unclear}[slices.Contains(h.live[:12], f.ID)]; f.State != want && !slices.Contains(h.live[12:], f.ID) {
				t.Errorf("%s is %s, not %s", f.ID, f.State, want)
			}
		}
		h.docker.set(well)
		h.after(5 * time.Minute)
		h.removed(t, h.leaked)
	})
}

func TestAContainerThatComesBackEndsTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		h.run(t)
		h.after(9 * time.Minute)
		h.containerd.set(having("containerd/k8s.io", append(slices.Clone(h.live[:12]), h.leaked[0])...))
		h.after(time.Minute)
		h.containerd.set(having("containerd/k8s.io", h.live[:12]...))
		h.after(2 * time.Minute)
		h.removed(t, h.leaked[1:])
		h.after(10 * time.Minute)
		h.removed(t, h.leaked)
	})
}

func TestARuntimeThatIsNotOnTheHostHasNoContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		h.containerd.set(having("containerd/k8s.io", h.live...))
		h.docker.set(failing(fmt.Errorf("no service and no pipe: %w", ErrAbsent)))
		h.run(t)
		h.after(11 * time.Minute)
		h.removed(t, h.leaked)
		report, err := h.List(t.Context())
		if err != nil || len(report.Asked) != 3 || !strings.Contains(report.Asked[1].Absent, "no service and no pipe") {
			t.Errorf("%+v, %v", report.Asked, err)
		}
	})
}

func TestInstancesOfNobodyWhoWasAskedStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		own := []string{"3c0a7ae5-9d3b-4f43-a1c4-66bd5a0f7d7b", "mine", strings.ToUpper(strings.Repeat("ab", 32))}
		for _, other := range own {
			h.hcs.instances[other] = "LRPC"
		}
		h.hcs.systems = append(h.hcs.systems, System{ID: "mine", State: "Running"}) // which is no contradiction
		h.run(t)
		h.after(2 * time.Hour)
		h.removed(t, h.leaked)
		report, err := h.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range report.Instances {
			want := Live
			if f.ID == own[0] || f.ID == own[2] {
				want = Foreign
			}
			if f.State != want {
				t.Errorf("%s is %s, not %s", f.ID, f.State, want)
			}
		}
		// Who names one has it removed.
		report, err = h.Reap(t.Context(), Request{IDs: own[:2]}, h.before)
		if err != nil {
			t.Fatal(err)
		}
		h.removed(t, append(slices.Clone(h.leaked), own[0]))
		for _, f := range report.Instances {
			if f.ID == own[1] && !strings.Contains(f.Kept, "HCS (Running)") {
				t.Errorf("%+v", f)
			}
		}
	})
}

// A name that somebody chose, as users of ctr do, is a container's once it was
// seen as one.
func TestANameThatWasSeenIsARuntimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		h.hcs.instances["web"] = "LRPC"
		h.containerd.set(having("containerd/default", append(slices.Clone(h.live[:12]), "WEB")...))
		h.run(t)
		h.after(time.Minute)
		h.containerd.set(having("containerd/default", h.live[:12]...))
		h.after(12 * time.Minute)
		h.removed(t, append(slices.Clone(h.leaked), "web"))
		at := slices.IndexFunc(h.audit, func(r Removal) bool { return r.ID == "web" })
		if at < 0 || h.audit[at].Place != "containerd/default" {
			t.Errorf("%+v", h.audit)
		}
	})
}

func TestAContainerInAUtilityVMOfItsOwnIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		h.hcs.systems = append(h.hcs.systems, System{ID: h.leaked[0] + "@vm", State: "Running"})
		h.run(t)
		h.after(2 * time.Hour)
		h.removed(t, nil) // a contradiction
		if s := h.Status(); !strings.Contains(s.Unclear, "HCS, a utility VM (Running)") {
			t.Errorf("%+v", s)
		}
	})
}

func TestAnInstanceWithALiveGrantStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		// The grant comes after the look, for a new container of the same ID.
		h.before = func(r Removal) error {
			h.grants.mu.Lock()
			defer h.grants.mu.Unlock()
			h.grants.of = map[string]string{h.leaked[29]: "g-1"}
			return nil
		}
		h.run(t)
		h.after(10*time.Minute + time.Second)
		h.removed(t, h.leaked[:29])
		if s := h.Status(); s.Failed != 1 || !strings.Contains(s.LastError, "g-1") {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatCannotBeRecordedIsNotRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		h.before = func(Removal) error { return errors.New("disk full") }
		h.run(t)
		h.after(2 * time.Hour)
		h.removed(t, nil)
		if s := h.Status(); s.LastError != "disk full" || s.Removed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOneRemovalThatFailsKeepsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		h.hcs.fail = map[string]error{h.leaked[3]: errors.New("HRESULT 0x1"), h.leaked[4]: fault.ErrNotFound}
		h.run(t)
		h.after(10*time.Minute + time.Second)
		h.removed(t, slices.Concat(h.leaked[:3], h.leaked[5:]))
		if s := h.Status(); s.Removed != 29 || s.Failed != 1 || !strings.Contains(s.LastError, "HRESULT 0x1") {
			t.Errorf("%+v", s)
		}
	})
}

func TestReapByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		reap := func(q Request) Report {
			t.Helper()
			report, err := h.Reap(t.Context(), q, h.before)
			if err != nil {
				t.Fatal(err)
			}
			return report
		}
		chosen := func(r Report) (n int) {
			for _, f := range r.Instances {
				if f.Chosen {
					n++
				}
			}
			return n
		}
		if r := reap(Request{}); chosen(r) != 0 {
			t.Errorf("%d within the grace", chosen(r))
		}
		if r := reap(Request{IDs: []string{h.leaked[0]}, DryRun: true}); chosen(r) != 1 {
			t.Errorf("%d in a dry run", chosen(r))
		}
		h.removed(t, nil)
		r := reap(Request{IDs: []string{h.leaked[0], h.live[0], "absent"}})
		h.removed(t, h.leaked[:1])
		if chosen(r) != 1 || !slices.Equal(r.Missing, []string{"absent"}) {
			t.Errorf("%d chosen, missing %q", chosen(r), r.Missing)
		}
		h.docker.set(failing(errors.New("restarting")))
		r = reap(Request{IDs: []string{h.leaked[1]}})
		if at := slices.IndexFunc(r.Instances, func(f Found) bool { return f.ID == h.leaked[1] }); chosen(r) != 0 || !strings.Contains(r.Instances[at].Kept, "restarting") {
			t.Errorf("%+v", r.Instances[at])
		}
		h.removed(t, h.leaked[:1])
	})
}

func TestReapingCanBeSwitchedOffAndOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLeakyHost()
		off := timing
		off.Reap = false
		h.Apply(off)
		h.run(t)
		h.after(2 * time.Hour)
		h.removed(t, nil)
		if s := h.Status(); s.Reaps || s.Orphaned != 30 {
			t.Errorf("%+v", s)
		}
		h.Apply(timing)
		h.after(time.Minute)
		h.removed(t, h.leaked)
	})
}

func TestNoCookieAndNoCredentialSpecIsKept(t *testing.T) {
	h := newLeakyHost()
	report, err := h.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(data), fmt.Sprintf("%+v %#v", h.Reaper, h.orphans)} {
		if strings.Contains(text, "canary") {
			t.Errorf("a cookie or credential spec in %.200s", text)
		}
	}
}

func TestOnlyOneCallIsAtHCSAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int32
		s := newService(func([]byte) ([]byte, error) {
			calls.Add(1)
			<-release
			return []byte(`{"Properties":[{}]}`), nil
		}, nil)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := s.List(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			cancel()
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		close(release)
		if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
	})
}
