package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
)

// eventMemory is an event log that keeps what it is given.
type eventMemory struct {
	mu      sync.Mutex
	entries []eventlog.Entry
}

func (m *eventMemory) Write(_ eventlog.Severity, _ uint16, id eventlog.ID, params []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, eventlog.Entry{ID: id, Params: params})
	return nil
}

func (m *eventMemory) Close() error { return nil }

func (m *eventMemory) find(id eventlog.ID) (eventlog.Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.entries, func(e eventlog.Entry) bool { return e.ID == id })
	if i < 0 {
		return eventlog.Entry{}, false
	}
	return m.entries[i], true
}

// eventHost is a host whose agent's events go to a memory. It serves nothing
// before serve.
type eventHost struct {
	*host
	*daemon
	log    *eventMemory
	broken atomic.Pointer[string] // the plugin's registration
}

const password = "canary-5f1c-hunter2"

func newEventHost(t *testing.T) *eventHost {
	h := &eventHost{host: newHost(t), log: &eventMemory{}}
	h.write(fmt.Sprintf("credential_specs: {folders: [%s], cache: {fresh: 0s}}\nsecrets: {cache: {ttl: 0s}}\n", h.dir))
	h.broken.Store(new(string))
	h.daemon = &daemon{
		log: slog.New(slog.DiscardHandler), version: "test", events: eventlog.NewRecorder(h.log, eventlog.Information, nil),
		registration: func() (string, error) { return *h.broken.Load(), nil },
	}
	cfg := h.load()
	cfg.Channels.Plugin.Users = []string{fmt.Sprintf("uid:%d", os.Getuid())}
	if err := h.start(cfg); err != nil {
		t.Fatal(err)
	}
	h.spec("web.json", credspectest.Document)
	store, err := local.Open(h.started.Secrets.Local.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), "contoso", &secrets.Credential{Domain: "contoso.com", User: "reader", Password: secrets.New([]byte(password))}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *eventHost) spec(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// serving runs the agent while f runs, and returns how it ended.
func (h *eventHost) serving(f func()) error {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- h.serve(ctx, func() { close(ready) }) }()
	<-ready
	f()
	cancel()
	return <-ended
}

// until waits until an event is there.
func (h *eventHost) until(id eventlog.ID) {
	h.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, ok := h.log.find(id); ok {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("event %d did not come", id)
		}
		time.Sleep(time.Millisecond)
	}
}

func (h *eventHost) call(verb string, request, answer any) error {
	c, err := channel.Dial(h.t.Context(), channel.Control, filepath.Join(h.dir, "c", "control.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // answered by then
	return control.Call(h.t.Context(), c, verb, request, answer)
}

func container(id string) hook.Key {
	return hook.Key{Runtime: "containerd", Namespace: "k8s.io", ID: id}
}

func asks(id, ref string) hook.Facts {
	return hook.Facts{Key: container(id), Image: "img", Annotations: map[string]string{hook.KeyCredentialSpec: ref}}
}

// admit asks for a container as the wrapper does, and returns its token.
func (h *eventHost) admit(id, ref string) (token string, err error) {
	var a hook.Admission
	if err := h.call(agent.VerbAdmit, asks(id, ref), &a); err != nil {
		return "", err
	}
	spec, err := credspec.Parse(a.Document)
	if err != nil {
		h.t.Fatal(err)
	}
	if account := spec.ActiveDirectoryConfig.HostAccountConfig; account != nil {
		token = account.PluginInput
	}
	return token, nil
}

func (h *eventHost) mustAdmit(id, ref string) string {
	h.t.Helper()
	token, err := h.admit(id, ref)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// redeem asks as the CCG plugin does.
func (h *eventHost) redeem(token string) error {
	c, err := channel.Dial(h.t.Context(), channel.Plugin, filepath.Join(h.dir, "p", "plugin.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // answered by then
	if err := wire.WriteRedeem(c, token); err != nil {
		h.t.Fatal(err)
	}
	r, err := wire.ReadAnswer(c)
	r.Wipe()
	return err
}

func (h *eventHost) refused(err error) {
	h.t.Helper()
	if err == nil {
		h.t.Fatal("it was not refused")
	}
}

func (h *eventHost) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// flakyTrail fails once.
type flakyTrail struct {
	agent.Trail
	failed bool
}

func (f *flakyTrail) Write(r audit.Record) error {
	if !f.failed {
		f.failed = true
		return errors.New("audit.jsonl: no space left on device")
	}
	return f.Trail.Write(r)
}

type panicking struct{}

func (panicking) Resolve(context.Context, credspec.Ref) (credspec.Document, error) {
	panic("a bug, with " + password)
}

// staleStore has what it gave last.
type staleStore struct{}

func (staleStore) Fetch(context.Context, secrets.Ref) (*secrets.Credential, error) {
	return &secrets.Credential{
		Domain: "contoso.com", User: "reader", Password: secrets.New([]byte(password)),
		Asked: time.Now().Add(-time.Hour), Stale: errors.New("vault is sealed"),
	}, nil
}

// produced says for every event of the table what brings it about, through the
// agent's own code. An event is no event before it stands here.
var produced = []struct {
	name   string
	events []eventlog.ID
	do     func(h *eventHost)
}{
	{"the agent runs, and is stopped", []eventlog.ID{eventlog.AgentStarted, eventlog.AgentReady, eventlog.AgentStopped}, func(h *eventHost) {
		h.must(h.serving(func() {}))
	}},
	{"a part of the agent ends", []eventlog.ID{eventlog.AgentEnded}, func(h *eventHost) {
		h.must(h.close())
		h.closers = nil
		ended := Run(h.t.Context(), h.load(), "test", slog.New(slog.DiscardHandler), func() {}, WithEvents(h.events), func(d *daemon) {
			d.registration = func() (string, error) { // it is asked while the agent serves
				return "", d.control.Close()
			}
		})
		h.refused(ended)
	}},
	{"the agent cannot start", []eventlog.ID{eventlog.AgentStartFailed}, func(h *eventHost) {
		// This host's agent has the folder.
		h.refused(Run(h.t.Context(), h.load(), "test", slog.New(slog.DiscardHandler), func() {}, WithEvents(h.events)))
	}},
	{"the agent has a fault", []eventlog.ID{eventlog.AgentPanicked}, func(h *eventHost) {
		h.agent.Apply(agent.Settings{Specs: panicking{}})
		_, err := h.agent.Admit(h.t.Context(), asks("c1", "file://web.json"))
		h.refused(err)
	}},
	{"the trail cannot be written for a time", []eventlog.ID{eventlog.AuditUnwritable, eventlog.AuditWritable}, func(h *eventHost) {
		trail, err := audit.Open(filepath.Join(h.dir, "other.jsonl"), 0, 0)
		h.must(err)
		defer trail.Close() //nolint:errcheck // of the test alone
		flaky := &eventTrail{Trail: &flakyTrail{Trail: trail}, events: h.events}
		h.refused(flaky.Write(audit.Record{Event: audit.RedeemReleased}))
		h.must(flaky.Write(audit.Record{Event: audit.GrantRevoked, Container: &hook.Key{}}))
	}},
	{"a stranger calls the control channel", []eventlog.ID{eventlog.ControlRefused}, func(h *eventHost) {
		endpoint := filepath.Join(h.dir, "s", "control.sock")
		l, err := channel.Listen(channel.Control, endpoint, channel.Allow{Users: []string{"uid:4294967294"}})
		h.must(err)
		ctx, cancel := context.WithCancel(h.t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.agent.ServeControl(ctx, l, func(hook.Key) {}) }()
		c, err := channel.Dial(h.t.Context(), channel.Control, endpoint)
		h.must(err)
		h.refused(control.Call(h.t.Context(), c, agent.VerbStatus, nil, new(agent.Status)))
		h.must(c.Close())
		cancel()
		h.must(<-ended)
	}},
	{"a container is refused again and again", []eventlog.ID{eventlog.AdmitRefused, eventlog.Repeated}, func(h *eventHost) {
		h.must(h.serving(func() {
			for i := range 20 {
				_, err := h.admit(fmt.Sprint("c", i), "file://missing.json")
				h.refused(err)
			}
		}))
	}},
	{"the configuration is changed, well and badly", []eventlog.ID{eventlog.ConfigApplied, eventlog.ConfigRejected}, func(h *eventHost) {
		h.changed(h.load(), nil)
		h.changed(nil, errors.New("config.yaml:3:1: colour: unknown key"))
	}},
	{"a container is admitted, redeems, and ends", []eventlog.ID{eventlog.AdmitGranted, eventlog.RedeemReleased, eventlog.GrantRevoked}, func(h *eventHost) {
		h.must(h.serving(func() {
			h.must(h.redeem(h.mustAdmit("c1", "file://web.json")))
			h.must(h.agent.Ended(h.t.Context(), container("c1"), time.Now(), "the container is deleted"))
		}))
	}},
	{"a document names another plugin", []eventlog.ID{eventlog.AdmitPassed}, func(h *eventHost) {
		h.spec("other.json", strings.Replace(credspectest.Document, "{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}", "{CCC2A336-D7F3-4818-A213-272B7924213E}", 1))
		h.must(h.serving(func() { h.mustAdmit("c1", "file://other.json") }))
	}},
	{"containerd starts a container too early", []eventlog.ID{eventlog.InjectionLost}, func(h *eventHost) {
		h.must(h.agent.Lost(h.t.Context(), container("c1"), "its task was started 3 ms after its creation"))
	}},
	{"a redemption without a grant, and one without a secret", []eventlog.ID{eventlog.RedeemStranger, eventlog.RedeemRefused}, func(h *eventHost) {
		h.must(h.serving(func() {
			token := h.mustAdmit("c1", "file://web.json")
			other, err := wire.NewToken()
			h.must(err)
			h.refused(h.redeem(other))
			store, err := local.Open(h.started.Secrets.Local.Dir)
			h.must(err)
			h.must(store.Remove(h.t.Context(), "contoso"))
			h.refused(h.redeem(token))
		}))
	}},
	{"a source fails and recovers", []eventlog.ID{eventlog.SpecStale, eventlog.SourceFailing, eventlog.SourceRecovered}, func(h *eventHost) {
		var down atomic.Bool
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if down.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = w.Write([]byte(credspectest.Document))
		}))
		defer web.Close()
		h.must(h.serving(func() {
			h.mustAdmit("c1", web.URL+"/web.json")
			down.Store(true)
			h.mustAdmit("c2", web.URL+"/web.json")
			h.until(eventlog.SourceFailing)
			down.Store(false)
			h.mustAdmit("c3", web.URL+"/other.json") // what has failed is left alone for a moment
			h.until(eventlog.SourceRecovered)
		}))
	}},
	{"a store cannot be asked", []eventlog.ID{eventlog.SecretStale}, func(h *eventHost) {
		settings, err := h.assemble(h.load())
		h.must(err)
		settings.Secrets = staleStore{}
		h.agent.Apply(settings)
		h.must(h.serving(func() { h.mustAdmit("c1", "file://web.json") }))
	}},
	{"a store fails and recovers", []eventlog.ID{eventlog.StoreFailing, eventlog.StoreRecovered}, func(h *eventHost) {
		h.spec("gone.json", strings.Replace(credspectest.Document, "local://contoso", "local://gone", 1))
		h.must(h.serving(func() {
			_, err := h.admit("c1", "file://gone.json")
			h.refused(err)
			h.until(eventlog.StoreFailing)
			h.mustAdmit("c2", "file://web.json")
			h.until(eventlog.StoreRecovered)
		}))
	}},
	{"an administrator has a secret forgotten, and verify does", []eventlog.ID{eventlog.SecretForgotten, eventlog.SecretRejected}, func(h *eventHost) {
		h.must(h.serving(func() {
			var f agent.Forgotten
			h.must(h.call(agent.VerbForget, agent.Forget{Secret: "local://contoso", Reason: "an administrator says so"}, &f))
			h.must(h.call(agent.VerbForget, agent.Forget{Secret: "local://contoso", Reason: agent.RejectedByDirectory + ": wrong password"}, &f))
		}))
	}},
	{"the plugin's registration is broken and healed", []eventlog.ID{eventlog.PluginBroken, eventlog.PluginHealed}, func(h *eventHost) {
		broken, healed := "COMClasses: the default value is missing", ""
		h.broken.Store(&broken)
		h.must(h.serving(func() {
			h.until(eventlog.PluginBroken)
			h.broken.Store(&healed)
			h.until(eventlog.PluginHealed)
		}))
	}},
	{"Docker creates a container, and starts it again", []eventlog.ID{eventlog.ContainerCreated, eventlog.ContainerRestarted}, func(h *eventHost) {
		h.must(h.agent.Created(asks("c1", "file://web.json")))
		_, err := h.agent.Admit(h.t.Context(), asks("c1", "file://web.json"))
		h.must(err)
		h.must(h.agent.Reread(h.t.Context(), container("c1"), time.Now(), "its restart policy says so"))
	}},
	{"a CCG instance has leaked", []eventlog.ID{eventlog.InstanceRemoved}, func(h *eventHost) {
		h.must(h.agent.RecordRemoval(hcs.Removal{ID: "c1", Place: "containerd/k8s.io", Reason: "its container is gone"}))
	}},
	{"containerd goes and comes back", []eventlog.ID{eventlog.RuntimeLost, eventlog.RuntimeBack}, func(h *eventHost) {
		seen := &health{events: h.events, runtimes: map[string]bool{}}
		for _, connected := range []bool{false, true, true, false, false, true} {
			seen.connected(connection{"containerd", "/run/containerd/containerd.sock", connected, "EOF"})
		}
	}},
}

func TestEveryEventOfTheTableIsProduced(t *testing.T) {
	defer func(f func(time.Duration) <-chan time.Time) { pulse = f }(pulse)
	pulse = func(time.Duration) <-chan time.Time { return time.After(time.Millisecond) }
	seen := map[eventlog.ID]bool{}
	for _, row := range produced {
		t.Run(row.name, func(t *testing.T) {
			h := newEventHost(t)
			row.do(h)
			if err := errors.Join(h.close(), h.events.Close()); err != nil {
				t.Error(err)
			}
			for _, id := range row.events {
				if _, ok := h.log.find(id); !ok {
					t.Errorf("it brings about no event %d, but %v", id, h.log.entries)
				}
				seen[id] = true
			}
			text, err := json.Marshal(h.log.entries)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), password) || strings.Contains(string(text), wire.TokenPrefix) {
				t.Errorf("a secret is in an event: %s", text)
			}
		})
	}
	for _, e := range eventlog.Table {
		if eventlog.Categories[e.Category()-1].Name == "Service" {
			continue // the command line's: its tests bring them about
		}
		if !seen[e.ID] {
			t.Errorf("nothing here brings about event %d, %s", e.ID, e.Name)
		}
	}
}

func TestEveryRecordOfTheTrailHasItsEvent(t *testing.T) {
	for _, e := range audit.Events {
		if _, ok := ofRecord(audit.Record{Event: e}); !ok {
			t.Errorf("%s has no event; see ofRecord", e)
		}
	}
}

func TestARefusedContainerIsRecognisedThoughItsNameChanges(t *testing.T) {
	of := func(id string) eventlog.Entry {
		k := container(id)
		e, _ := ofRecord(audit.Record{Event: audit.AdmitRefused, Container: &k, Image: "img", Reference: "file://web.json", Reason: "container " + id + " may not"})
		return e
	}
	if a, b := of("c1"), of("c2"); a.Subject != b.Subject || a.Subject == "" {
		t.Errorf("%q and %q", a.Subject, b.Subject)
	}
}
