package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/hook/docker/gate"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
)

// dockerd is as much of Docker's API as the agent and the gate see of it. It asks
// the gate as dockerd's pkg/authorization does.
type dockerd struct {
	t      *testing.T
	os     string
	root   string
	socket string
	gate   *http.Client

	mu         sync.Mutex
	server     *http.Server
	containers map[string]*fakeContainer
	log        []fakeEvent
	more       chan struct{} // closed when the log grows
	inspected  int
}

type fakeContainer struct {
	ID, Name, Image string
	Labels          map[string]string
	SecurityOpt     []string
	Restart         string
	Running         bool
	Started         time.Time
}

type fakeEvent struct {
	action string
	c      fakeContainer
	at     time.Time
}

func newDockerd(h *host, system string) *dockerd {
	d := &dockerd{
		t: h.t, os: system, root: filepath.Join(h.dir, "docker"), socket: filepath.Join(h.dir, "d.sock"),
		containers: map[string]*fakeContainer{}, more: make(chan struct{}),
	}
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		h.t.Fatal(err)
	}
	d.start()
	h.t.Cleanup(d.stop)
	d.gate = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var n net.Dialer
		return n.DialContext(ctx, "unix", filepath.Join(h.dir, "g", "gate.sock"))
	}}}
	return d
}

func (d *dockerd) start() {
	_ = os.Remove(d.socket)
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	d.server = &http.Server{Handler: http.HandlerFunc(d.serve)}
	go d.server.Serve(l) //nolint:errcheck // closed
}

func (d *dockerd) stop() { _ = d.server.Close() }

func (d *dockerd) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1.") {
		path = "/" + strings.SplitN(path, "/", 3)[2]
	}
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	w.Header().Set("Api-Version", "1.41")
	switch {
	case path == "/_ping":
	case path == "/info":
		answer(map[string]any{"OSType": d.os, "DockerRootDir": d.root, "Plugins": map[string]any{"Authorization": []string{"gmsa-agent"}}})
	case path == "/containers/json":
		d.mu.Lock()
		list := []map[string]any{}
		for id := range d.containers {
			list = append(list, map[string]any{"Id": id})
		}
		d.mu.Unlock()
		answer(list)
	case path == "/events":
		d.events(w, r)
	case strings.HasPrefix(path, "/containers/") && strings.HasSuffix(path, "/json"):
		c := d.find(strings.TrimSuffix(strings.TrimPrefix(path, "/containers/"), "/json"))
		if c == nil {
			w.WriteHeader(http.StatusNotFound)
			answer(map[string]string{"message": "No such container"})
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.inspected++
		answer(map[string]any{
			"Id": c.ID, "Name": "/" + c.Name, "State": map[string]any{"Running": c.Running, "StartedAt": c.Started.Format(time.RFC3339Nano)},
			"HostConfig": map[string]any{"SecurityOpt": c.SecurityOpt, "RestartPolicy": map[string]any{"Name": c.Restart}},
			"Config":     map[string]any{"Image": c.Image, "Labels": c.Labels},
		})
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
}

func (d *dockerd) events(w http.ResponseWriter, r *http.Request) {
	var sec, nsec int64
	if _, err := fmt.Sscanf(r.URL.Query().Get("since"), "%d.%d", &sec, &nsec); err != nil {
		d.t.Error(err)
	}
	since := time.Unix(sec, nsec)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for n := 0; ; {
		d.mu.Lock()
		log, more := d.log[n:], d.more
		d.mu.Unlock()
		n += len(log)
		for _, e := range log {
			if e.at.Before(since) {
				continue
			}
			_ = json.NewEncoder(w).Encode(map[string]any{
				"Type": "container", "Action": e.action, "timeNano": e.at.UnixNano(),
				"Actor": map[string]any{"ID": e.c.ID, "Attributes": e.c.Labels},
			})
			w.(http.Flusher).Flush()
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

func (d *dockerd) find(name string) *fakeContainer {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.containers {
		if c.ID == name || c.Name == name {
			return c
		}
	}
	return nil
}

// emit is called with mu held.
func (d *dockerd) emit(action string, c *fakeContainer) {
	d.log = append(d.log, fakeEvent{action, *c, time.Now()})
	close(d.more)
	d.more = make(chan struct{})
}

// ask asks the gate about a request, and does it if it may be.
func (d *dockerd) ask(method, uri string, body []byte, do func() (int, any)) error {
	d.t.Helper()
	q := map[string]any{"RequestMethod": method, "RequestUri": uri, "RequestBody": body}
	if err := d.authorize("AuthZReq", q); err != nil {
		return err
	}
	status, answer := do()
	q["ResponseStatusCode"] = status
	q["ResponseBody"], _ = json.Marshal(answer)
	if err := d.authorize("AuthZRes", q); err != nil {
		return err
	}
	if status >= 400 {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

func (d *dockerd) authorize(call string, q any) error {
	data, err := json.Marshal(q)
	if err != nil {
		return err
	}
	resp, err := d.gate.Post("http://plugin.moby.localhost/AuthZPlugin."+call, "application/json", bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("plugin gmsa-agent failed with error: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("plugin: %s: %s", resp.Status, b)
	}
	var v struct {
		Allow bool
		Msg   string
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return err
	}
	if !v.Allow {
		return errors.New("authorization denied by plugin gmsa-agent: " + v.Msg)
	}
	return nil
}

// create is docker create.
func (d *dockerd) create(c fakeContainer) error {
	body, err := json.Marshal(map[string]any{
		"Image": c.Image, "Labels": c.Labels, "HostConfig": map[string]any{"SecurityOpt": c.SecurityOpt, "RestartPolicy": map[string]any{"Name": c.Restart}},
	})
	if err != nil {
		return err
	}
	return d.ask("POST", "/v1.41/containers/create?name="+c.Name, body, func() (int, any) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.containers[c.ID] = &c
		d.emit("create", &c)
		return http.StatusCreated, map[string]any{"Id": c.ID, "Warnings": []string{}}
	})
}

// run starts a container by the name or ID given.
func (d *dockerd) run(name string) error {
	return d.ask("POST", "/v1.41/containers/"+name+"/start", nil, func() (int, any) {
		c := d.find(name)
		if c == nil {
			return http.StatusNotFound, nil
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		c.Running, c.Started = true, time.Now()
		d.emit("start", c)
		return http.StatusNoContent, nil
	})
}

func (d *dockerd) happens(id string, action string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.containers[id]
	switch action {
	case "die":
		c.Running = false
	case "start":
		c.Running, c.Started = true, time.Now()
	case "destroy":
		delete(d.containers, id)
	}
	d.emit(action, c)
}

// runGate runs the gate until the test ends or stop is called.
func (h *host) runGate() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- gate.Run(ctx, Gate(h.load()), slog.New(slog.DiscardHandler), func() { close(ready) })
	}()
	select {
	case <-ready:
	case err := <-ended:
		h.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	})
	h.t.Cleanup(stop)
	return stop
}

const noHostAccount = `{"CmsPlugins":["ActiveDirectory"],"DomainJoinConfig":{"Sid":"S-1-5-21-2126449477-2524075714-3094792973","MachineAccountName":"webapp01","Guid":"244818ae-87ac-4fcd-92ec-e79e5252348a","DnsTreeName":"contoso.com","DnsName":"contoso.com","NetBiosName":"CONTOSO"},"ActiveDirectoryConfig":{"GroupManagedServiceAccounts":[{"Name":"webapp01","Scope":"contoso.com"},{"Name":"webapp01","Scope":"CONTOSO"}]}}`

// dockerHost is a host with an agent, a gate and a dockerd that keeps webapp01.
func dockerHost(t *testing.T, system string) (*host, *dockerd) {
	h := newHost(t)
	h.spec("webapp01", credspectest.Document)
	h.putSecret("contoso")
	h.write(fmt.Sprintf("domain_joined: false\ncredential_specs:\n  folders: [%[1]s/specs]\ndocker:\n  enabled: true\n  endpoint: unix://%[1]s/d.sock\n  gate: {endpoint: %[1]s/g/gate.sock}\n  refresh: {local: 100ms}\n  specs:\n    webapp01: {reference: \"file://webapp01.json\"}\n", h.dir))
	return h, newDockerd(h, system)
}

func (h *host) spec(name, document string) {
	h.t.Helper()
	dir := filepath.Join(h.dir, "specs")
	tmp := filepath.Join(dir, name+".new")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(tmp, []byte(document), 0o600), os.Rename(tmp, filepath.Join(dir, name+".json"))); err != nil {
		h.t.Fatal(err)
	}
}

// putSecret puts a plugin user into the local store, before the agent runs.
func (h *host) putSecret(name string) {
	h.t.Helper()
	state := filepath.Join(h.dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		h.t.Fatal(err)
	}
	store, err := local.Open(filepath.Join(state, "secrets"))
	if err != nil {
		h.t.Fatal(err)
	}
	cred := &secrets.Credential{Domain: "contoso.com", User: "plugin", Password: secrets.New([]byte("secret"))}
	if err := store.Put(h.t.Context(), name, cred); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) connected() {
	h.t.Helper()
	h.eventually("connected to Docker", func(s agent.Status) bool {
		return len(s.Hooks) == 1 && s.Hooks[0].Connected && s.Hooks[0].Gate && len(s.Hooks[0].Places) == 1 && s.Hooks[0].Places[0].Kept
	})
}

// trail is what the trail says, an event and a container's ID a line.
func (h *host) trail() []audit.Record {
	h.t.Helper()
	f, err := os.ReadFile(filepath.Join(h.dir, "state", "audit.jsonl"))
	if err != nil {
		h.t.Fatal(err)
	}
	var records []audit.Record
	for line := range strings.Lines(string(f)) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			h.t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// of are the events of a container, in their order.
func (h *host) of(id string) string {
	h.t.Helper()
	var events []string
	for _, r := range h.trail() {
		if r.Container != nil && r.Container.ID == id {
			events = append(events, string(r.Event))
		}
	}
	return strings.Join(events, " ")
}

func (h *host) tells(id, want string) {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for h.of(id) != want {
		if time.Now().After(deadline) {
			h.t.Fatalf("the trail says of %s: %s\nwant %s", id, h.of(id), want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// token is the one that stands in Docker's folder.
func (d *dockerd) token(name string) string {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(d.root, "CredentialSpecs", name+".json"))
	if err != nil {
		d.t.Fatal(err)
	}
	spec, err := credspec.Parse(data)
	if err != nil {
		d.t.Fatal(err)
	}
	token := spec.ActiveDirectoryConfig.HostAccountConfig.PluginInput
	if !wire.ValidToken(token) {
		d.t.Fatal("no grant's token in Docker's file")
	}
	return token
}

// redeems says whether a token does.
func (h *host) redeems(token string) error {
	h.t.Helper()
	c, err := channel.Dial(h.t.Context(), channel.Plugin, filepath.Join(h.dir, "p", "plugin.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	if err := wire.WriteRedeem(c, token); err != nil {
		h.t.Fatal(err)
	}
	release, err := wire.ReadAnswer(c)
	if err == nil && string(release.Password) != "secret" {
		h.t.Errorf("another password")
	}
	return err
}

const id1, id2 = "1111111111111111111111111111111111111111111111111111111111111111", "2222222222222222222222222222222222222222222222222222222222222222"

func asking(id, name string) fakeContainer {
	return fakeContainer{ID: id, Name: name, Image: "web:1", SecurityOpt: []string{"credentialspec=file://webapp01.json"}}
}

func TestAContainerOfDockersHasItsGrantFromItsStartToItsEnd(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.run()
	h.runGate()
	h.connected()
	c := asking(id1, "web")
	c.Restart = "always"
	if err := d.create(c); err != nil {
		t.Fatal(err)
	}
	token := d.token("webapp01")
	if err := h.redeems(token); err == nil {
		t.Fatal("it redeems before any container was started")
	}
	if err := d.run(id1); err != nil {
		t.Fatal(err)
	}
	if err := h.redeems(token); err != nil {
		t.Fatal(err)
	}
	h.tells(id1, "container.created admit.granted redeem.released")
	d.happens(id1, "die")
	d.happens(id1, "start")
	h.tells(id1, "container.created admit.granted redeem.released container.restarted")
	if err := h.redeems(token); err != nil {
		t.Fatal("after a restart by policy:", err)
	}
	d.happens(id1, "die")
	d.happens(id1, "destroy")
	h.tells(id1, "container.created admit.granted redeem.released container.restarted redeem.released grant.revoked")
	if err := h.redeems(token); err == nil {
		t.Error("it redeems after the container's end")
	}
}
