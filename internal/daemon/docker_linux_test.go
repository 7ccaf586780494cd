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
	ungated    bool
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
		plugins := []string{"gmsa-agent"}
		if d.ungated {
			plugins = nil
		}
		answer(map[string]any{"OSType": d.os, "DockerRootDir": d.root, "Plugins": map[string]any{"Authorization": plugins}})
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
	if d.ungated {
		return nil
	}
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

// dockerHost is a host with a credential spec, its secret, and a dockerd.
func dockerHost(t *testing.T, system string) (*host, *dockerd) {
	h := newHost(t)
	h.spec("webapp01", credspectest.Document)
	h.putSecret("contoso")
	h.configure("webapp01: {reference: \"file://webapp01.json\"}", "")
	return h, newDockerd(h, system)
}

func (h *host) configure(specs, more string) {
	h.t.Helper()
	h.write(fmt.Sprintf("domain_joined: false\ncredential_specs:\n  folders: [%[1]s/specs]\ndocker:\n  enabled: true\n  endpoint: unix://%[1]s/d.sock\n  gate: {endpoint: %[1]s/g/gate.sock}\n  refresh: {local: 100ms}\n  specs: {%[2]s}\n%[3]s", h.dir, specs, more))
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

// place waits for a place's state.
func (h *host) place(what string, is func(agent.Place) bool) {
	h.t.Helper()
	h.eventually(what, func(s agent.Status) bool {
		return len(s.Hooks) == 1 && len(s.Hooks[0].Places) == 1 && is(s.Hooks[0].Places[0])
	})
}

func wantRefusal(t *testing.T, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("not refused; want %q", says)
	}
	for _, s := range append(says, "authorization denied by plugin gmsa-agent: ") {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

func TestWhileTheAgentIsStoppedOnlyContainersThatAskAreRefused(t *testing.T) {
	h, d := dockerHost(t, "windows")
	stop := h.run()
	h.runGate()
	h.connected()
	if err := d.create(asking(id1, "web")); err != nil {
		t.Fatal(err)
	}
	stop()
	wantRefusal(t, d.create(asking(id2, "other")), "asks for a gMSA", "the agent cannot be asked", "control.sock")
	wantRefusal(t, d.run(id1), "the agent cannot be asked")
	plain := fakeContainer{ID: id2, Name: "plain", Image: "web:1"}
	if err := errors.Join(d.create(plain), d.run(id2), d.run("plain")); err != nil {
		t.Error("without a gMSA:", err)
	}
	if err := d.ask("GET", "/v1.41/containers/json", nil, func() (int, any) { return 200, nil }); err != nil {
		t.Error(err)
	}
	h.run()
	h.connected()
	if err := d.run(id1); err != nil {
		t.Error("the agent is back:", err)
	}
}

func TestAContainerThatDoesNotAskIsNotLookedAt(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.runGate() // the agent is not even there
	for i := range 200 {
		c := fakeContainer{ID: fmt.Sprintf("%064d", i), Name: fmt.Sprint("plain", i), Image: "web:1", Labels: map[string]string{"a": "b"}}
		if err := d.create(c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * time.Millisecond) // the docker command takes some, too
		d.mu.Lock()
		before := d.inspected
		d.mu.Unlock()
		if err := d.run(c.ID); err != nil {
			t.Fatal(err)
		}
		d.mu.Lock()
		after := d.inspected
		d.mu.Unlock()
		if before == after {
			return
		}
	}
	t.Error("each was looked at")
}

// The labels of an image are its container's, and no request shows them.
func TestALabelOfTheImageAsks(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.run()
	h.runGate()
	h.connected()
	c := fakeContainer{ID: id1, Name: "web", Image: "labelled:1"}
	if err := d.ask("POST", "/containers/create", []byte(`{"Image":"labelled:1"}`), func() (int, any) {
		d.mu.Lock()
		defer d.mu.Unlock()
		c.Labels = map[string]string{"gmsa-agent/credential-spec": "file://webapp01.json"}
		d.containers[id1] = &c
		d.emit("create", &c)
		return http.StatusCreated, map[string]any{"Id": id1}
	}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, d.run(id1), "--security-opt credentialspec=file://webapp01.json")
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.run()
	h.runGate()
	h.connected()
	label := map[string]string{"gmsa-agent/credential-spec": "file://webapp01.json"}
	for name, c := range map[string]struct {
		options []string
		labels  map[string]string
		says    string
	}{
		"the label alone":               {nil, label, "run it with --security-opt credentialspec=file://webapp01.json as well"},
		"an unknown label":              {nil, map[string]string{"gmsa-agent/credential-spec": "s3://bucket/x.json"}, "none of the credential specs that the agent keeps for Docker (docker.specs"},
		"the label of another option":   {[]string{"credentialspec=file://other.json"}, label, "for the label's it is file://webapp01.json"},
		"two options":                   {[]string{"credentialspec=file://webapp01.json", "CredentialSpec=file://webapp01.json"}, nil, "is given 2 times"},
		"an absolute path":              {[]string{`credentialspec=FILE://C:\x.json`}, nil, "not an absolute one"},
		"the folder beside it":          {[]string{`credentialspec=file://..\CredentialSpecsX\f.json`}, nil, "it leads out of"},
		"a file that is not there":      {[]string{"credentialspec=file://missing.json"}, nil, "docker file://missing.json is none of the credential specs"},
		"a document that needs a grant": {[]string{"credentialspec=raw://" + noHostAccount}, nil, "it would need a grant"},
		"no document":                   {[]string{"credentialspec=raw://x"}, nil, "it is no credential spec"},
		"a config of Swarm's":           {[]string{"credentialspec=config://x"}, nil, "Docker Swarm"},
		"another scheme":                {[]string{"credentialspec=https://x/y"}, nil, "Docker reads file://, registry:// and raw://"},
		"no scheme":                     {[]string{"credentialspec=webapp01.json"}, nil, "neither file://NAME.json nor registry://NAME"},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, d.create(fakeContainer{ID: id1, Name: "web", Image: "web:1", SecurityOpt: c.options, Labels: c.labels}), c.says)
		})
	}
	for _, c := range []fakeContainer{
		{ID: id1, Name: "web", Image: "web:1", SecurityOpt: []string{`CREDENTIALSPEC=File://.\WebApp01.json`}, Labels: label},
		{ID: id2, Name: "other", Image: "web:1", SecurityOpt: []string{"credentialspec=file://webapp01.json"}, Labels: label},
	} {
		if err := errors.Join(d.create(c), d.run(c.ID)); err != nil {
			t.Error(err)
		}
	}
}

// A body that dockerd does not show is no way past the gate.
func TestWhatIsNotShownAtTheCreationIsSeenAtTheStart(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.run()
	h.runGate()
	h.connected()
	c := fakeContainer{ID: id1, Name: "web", Image: "web:1", SecurityOpt: []string{"credentialspec=file://missing.json"}}
	if err := d.ask("POST", "/v1.41/containers/create", nil, func() (int, any) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.containers[id1] = &c
		d.emit("create", &c)
		return http.StatusCreated, map[string]any{"Id": id1}
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{id1, "web"} {
		wantRefusal(t, d.run(name), "docker file://missing.json is none of")
	}
	h.tells(id1, "admit.refused admit.refused")
}

func TestWhereDockerDoesNotReadTheOptionTheLabelIsEnough(t *testing.T) {
	h, d := dockerHost(t, "linux")
	h.run()
	h.runGate()
	h.connected()
	c := fakeContainer{ID: id1, Name: "web", Image: "web:1", Labels: map[string]string{"gmsa-agent/credential-spec": "credentialspec:file://webapp01.json"}}
	if err := errors.Join(d.create(c), d.run(id1)); err != nil {
		t.Fatal(err)
	}
	if err := h.redeems(d.token("webapp01")); err != nil {
		t.Error(err)
	}
	h.tells(id1, "container.created admit.granted redeem.released")
}

func TestAContainerWhosePolicyDoesNotAllowItIsRefused(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.configure("webapp01: {reference: \"file://webapp01.json\"}", "policy:\n  allow:\n  - images: [\"web:*\"]\n")
	h.run()
	h.runGate()
	h.connected()
	c := asking(id1, "web")
	c.Image = "other:1"
	wantRefusal(t, d.create(c), "no rule of the policy allows the image \"other:1\"")
	if err := errors.Join(d.create(asking(id2, "web")), d.run(id2)); err != nil {
		t.Error(err)
	}
}

func TestContainersShareATokenUntilTheLastHasEnded(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.run()
	h.runGate()
	h.connected()
	if err := errors.Join(d.create(asking(id1, "a")), d.create(asking(id2, "b")), d.run(id1), d.run(id2)); err != nil {
		t.Fatal(err)
	}
	token := d.token("webapp01")
	if err := h.redeems(token); err != nil {
		t.Fatal(err)
	}
	var grants []string
	for _, r := range h.trail() {
		if r.Event == audit.AdmitGranted {
			grants = append(grants, r.Grant)
		}
		if r.Event == audit.RedeemReleased && (r.Container != nil || r.Grant != "" || r.Place != "docker file://webapp01.json" ||
			!strings.HasSuffix(r.Reason, strings.Join(grants, ", "))) {
			t.Errorf("%+v; the grants are %v", r, grants)
		}
	}
	d.happens(id1, "die")
	h.tells(id1, "container.created admit.granted grant.revoked")
	if err := h.redeems(token); err != nil {
		t.Error("the other one lives:", err)
	}
	h.tells(id2, "container.created admit.granted redeem.released")
	d.happens(id2, "destroy")
	h.tells(id2, "container.created admit.granted redeem.released grant.revoked")
	if err := h.redeems(token); err == nil {
		t.Error("it redeems for nobody")
	}
	// Started again, it is admitted again.
	if err := d.run(id1); err != nil {
		t.Fatal(err)
	}
	h.tells(id1, "container.created admit.granted grant.revoked admit.granted")
	if err := h.redeems(token); err != nil {
		t.Error(err)
	}
}

func TestWhatChangesAtTheSourceIsInDockersFolderAtOnceAndAsAWhole(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.run()
	h.runGate()
	h.connected()
	c := asking(id1, "web")
	c.Restart = "always"
	if err := errors.Join(d.create(c), d.run(id1)); err != nil {
		t.Fatal(err)
	}
	first := d.token("webapp01")
	file := filepath.Join(d.root, "CredentialSpecs", "webapp01.json")
	reading, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reading)
		for {
			data, err := os.ReadFile(file)
			if err == nil {
				_, err = credspec.Parse(data)
			}
			if err != nil {
				t.Errorf("a reader found no whole document: %v", err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	last := first
	for i := range 5 {
		h.spec("webapp01", strings.ReplaceAll(credspectest.Document, "local://contoso", fmt.Sprintf("local://contoso%s", strings.Repeat(" ", i+1))))
		changed := time.Now()
		for d.token("webapp01") == last {
			if time.Since(changed) > 20*time.Second {
				t.Fatal("the change does not arrive")
			}
			time.Sleep(time.Millisecond)
		}
		t.Logf("%v", time.Since(changed))
		last = d.token("webapp01")
	}
	close(stop)
	<-reading
	for name, token := range map[string]string{"the copy that it was started with": first, "the one that stands there": last} {
		if err := h.redeems(token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What a later start has not read any more ends with it.
	if err := d.ask("POST", "/v1.41/containers/web/restart", nil, func() (int, any) {
		d.happens(id1, "die")
		d.happens(id1, "start")
		return http.StatusNoContent, nil
	}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for h.redeems(first) == nil {
		if time.Now().After(deadline) {
			t.Fatal("the first copy's token is good after a restart")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := h.redeems(last); err != nil {
		t.Error(err)
	}
}

// Before a start the source is asked, however long nobody has looked.
func TestAStartReadsWhatTheSourceSaysNow(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.run()
	h.runGate()
	h.connected()
	before := d.token("webapp01")
	if err := d.create(asking(id1, "web")); err != nil {
		t.Fatal(err)
	}
	h.spec("webapp01", strings.ReplaceAll(credspectest.Document, "244818ae", "244818af"))
	if err := d.run(id1); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(d.root, "CredentialSpecs", "webapp01.json"))
	if err != nil || !bytes.Contains(data, []byte("244818af")) || d.token("webapp01") == before {
		t.Error("Docker reads what was there before", err)
	}
	h.spec("webapp01", "{")
	if err := d.create(asking(id2, "other")); err == nil {
		wantRefusal(t, d.run(id2), "file://webapp01.json")
	}
	h.place("in trouble", func(p agent.Place) bool { return p.Error != "" && p.Kept })
	if err := h.redeems(d.token("webapp01")); err != nil {
		t.Error("a broken source is no end of what runs:", err)
	}
}

func TestARestartedAgentKnowsWhoHoldsWhat(t *testing.T) {
	h, d := dockerHost(t, "windows")
	stop := h.run()
	h.runGate()
	h.connected()
	if err := errors.Join(d.create(asking(id1, "a")), d.create(asking(id2, "b")), d.run(id1), d.run(id2)); err != nil {
		t.Fatal(err)
	}
	token := d.token("webapp01")
	stop()
	d.happens(id1, "die")
	h.run()
	h.connected()
	h.tells(id1, "container.created admit.granted grant.revoked")
	if got := d.token("webapp01"); got != token {
		t.Error("the token is another one")
	}
	if err := h.redeems(token); err != nil {
		t.Error(err)
	}
	h.place("used by one", func(p agent.Place) bool { return p.Containers == 1 })
	d.happens(id2, "destroy")
	h.tells(id2, "container.created admit.granted redeem.released grant.revoked")
}

func TestARestartedDockerIsCaughtUpWith(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.run()
	h.runGate()
	h.connected()
	always := asking(id2, "b")
	always.Restart = "always"
	if err := errors.Join(d.create(asking(id1, "a")), d.create(always), d.run(id1), d.run(id2)); err != nil {
		t.Fatal(err)
	}
	h.place("used by both", func(p agent.Place) bool { return p.Containers == 2 })
	d.stop()
	h.eventually("disconnected", func(s agent.Status) bool { return !s.Hooks[0].Connected })
	d.happens(id1, "die")
	d.happens(id2, "die")
	d.happens(id2, "start")
	d.mu.Lock()
	d.log = nil // a new dockerd does not know
	d.mu.Unlock()
	d.start()
	h.connected()
	h.tells(id1, "container.created admit.granted grant.revoked")
	h.tells(id2, "container.created admit.granted container.restarted")
}

func TestWhatIsNotTheAgentsInDockersFolderIsLeftAlone(t *testing.T) {
	h, d := dockerHost(t, "windows")
	folder := filepath.Join(d.root, "CredentialSpecs")
	foreign := filepath.Join(folder, "webapp01.json")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(foreign, []byte("somebody's"), 0o600)); err != nil {
		t.Fatal(err)
	}
	h.run()
	h.runGate()
	h.place("in trouble", func(p agent.Place) bool { return strings.Contains(p.Error, foreign+" is not the agent's") && !p.Kept })
	if err := d.create(asking(id1, "web")); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, d.run(id1), "is not the agent's")
	if data, err := os.ReadFile(foreign); err != nil || string(data) != "somebody's" {
		t.Fatalf("%q, %v", data, err)
	}
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	if err := d.run(id1); err != nil {
		t.Fatal("it was moved away:", err)
	}
	// And what somebody has changed is his.
	data, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, append(data, ' '), 0o600); err != nil {
		t.Fatal(err)
	}
	h.place("in trouble", func(p agent.Place) bool { return strings.Contains(p.Error, "is not the agent's") })
	h.configure("", "")
	h.eventually("without it", func(s agent.Status) bool { return len(s.Hooks) == 1 && len(s.Hooks[0].Places) == 0 })
	time.Sleep(2 * time.Second) // nothing happens, which has no sign
	if now, err := os.ReadFile(foreign); err != nil || !bytes.Equal(now, append(data, ' ')) {
		t.Errorf("%q, %v", now, err)
	}
}

func TestWhatIsNoLongerConfiguredIsRemoved(t *testing.T) {
	h, d := dockerHost(t, "windows")
	h.run()
	h.runGate()
	h.connected()
	other := filepath.Join(d.root, "CredentialSpecs", "other.json")
	if err := os.WriteFile(other, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.create(asking(id1, "web")), d.run(id1)); err != nil {
		t.Fatal(err)
	}
	token := d.token("webapp01")
	h.configure("", "")
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err := os.Stat(filepath.Join(d.root, "CredentialSpecs", "webapp01.json")); errors.Is(err, os.ErrNotExist) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is there still")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if err := h.redeems(token); err != nil {
		t.Error("a container that runs goes on:", err)
	}
	d.happens(id1, "destroy")
	h.tells(id1, "container.created admit.granted redeem.released grant.revoked")
}

func TestAFolderThatCannotBeUsedIsSaidAndTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		spoil, mend func(folder string) error
		says        string
	}{
		"a link": {
			func(f string) error { return os.Symlink(filepath.Dir(filepath.Dir(f)), f) },
			os.Remove, "a link to one",
		},
		"a file": {
			func(f string) error { return os.WriteFile(f, nil, 0o600) },
			os.Remove, "not a directory",
		},
		"no root": {
			func(f string) error { return os.Remove(filepath.Dir(f)) },
			func(f string) error { return os.Mkdir(filepath.Dir(f), 0o700) }, "the root of Docker is not there",
		},
		"a folder in the file's place": {
			func(f string) error { return os.MkdirAll(filepath.Join(f, "webapp01.json"), 0o700) },
			func(f string) error { return os.Remove(filepath.Join(f, "webapp01.json")) }, "not a regular file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, d := dockerHost(t, "windows")
			folder := filepath.Join(d.root, "CredentialSpecs")
			if err := c.spoil(folder); err != nil {
				t.Fatal(err)
			}
			h.run()
			h.runGate()
			h.place("in trouble", func(p agent.Place) bool { return strings.Contains(p.Error, c.says) && !p.Kept })
			if err := d.create(asking(id1, "web")); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, d.run(id1), c.says)
			if err := c.mend(folder); err != nil {
				t.Fatal(err)
			}
			h.place("mended", func(p agent.Place) bool { return p.Error == "" && p.Kept })
			if err := d.run(id1); err != nil {
				t.Error(err)
			}
			entries, err := os.ReadDir(folder)
			if err != nil || len(entries) != 1 {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}

func TestWithoutTheGateAContainerIsAdmittedWhenItIsCreated(t *testing.T) {
	h, d := dockerHost(t, "windows")
	d.ungated = true
	h.run()
	h.place("there", func(p agent.Place) bool { return p.Kept })
	h.eventually("connected", func(s agent.Status) bool { return s.Hooks[0].Connected && s.Hooks[0].Injects && !s.Hooks[0].Gate })
	if err := d.create(asking(id1, "web")); err != nil {
		t.Fatal(err)
	}
	h.tells(id1, "admit.granted")
	if err := d.run(id1); err != nil {
		t.Fatal(err)
	}
	if err := h.redeems(d.token("webapp01")); err != nil {
		t.Error(err)
	}
	d.happens(id1, "destroy")
	h.tells(id1, "admit.granted redeem.released grant.revoked")
}

func TestAContainerThatRunsUnaskedIsAdmittedOrReported(t *testing.T) {
	h, d := dockerHost(t, "windows")
	d.ungated = true
	if err := errors.Join(d.create(asking(id1, "a")), d.run(id1)); err != nil {
		t.Fatal(err)
	}
	c := asking(id2, "b")
	c.Image = "other:1"
	if err := errors.Join(d.create(c), d.run(id2)); err != nil {
		t.Fatal(err)
	}
	h.configure("webapp01: {reference: \"file://webapp01.json\"}", "policy:\n  allow:\n  - images: [\"web:*\"]\n")
	h.run()
	h.tells(id1, "admit.granted")
	h.tells(id2, "admit.refused injection.lost")
}
