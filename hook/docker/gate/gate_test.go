package gate

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook/docker"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// containers are what Docker has, by name and ID.
type containers struct {
	mu     sync.Mutex
	by     map[string]docker.Container
	looked int
	err    error
}

func (c *containers) Look(_ context.Context, id string) (docker.Container, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked++
	if c.err != nil {
		return docker.Container{}, c.err
	}
	if found, ok := c.by[id]; ok {
		return found, nil
	}
	return docker.Container{}, fault.ErrNotFound
}

func (c *containers) Follow(ctx context.Context, ready func(), _ func(string, map[string]string, bool)) error {
	ready()
	<-ctx.Done()
	return ctx.Err()
}

// newWorld is a gate in front of containers and of an agent that serves like f.
func newWorld(f func(net.Conn)) (*Gate, *containers) {
	c := &containers{by: map[string]docker.Container{}}
	return newGate(c, func(context.Context) (net.Conn, error) {
		if f == nil {
			return nil, fmt.Errorf("control.sock: %w", fault.ErrUnavailable)
		}
		here, there := net.Pipe()
		go f(there)
		return here, nil
	}, slog.New(slog.DiscardHandler)), c
}

// hung takes a question and does not answer.
func hung(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func answering(answer func(control.Request) error) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close() //nolint:errcheck // a test
		_ = control.Serve(context.Background(), c, func(_ context.Context, r control.Request, _ func(any) error) (any, error) {
			return nil, answer(r)
		})
	}
}

func create(options ...string) request {
	body, err := json.Marshal(map[string]any{"Image": "web:1", "HostConfig": map[string]any{"SecurityOpt": options}})
	if err != nil {
		panic(err)
	}
	return shown("POST", "/v1.41/containers/create", body)
}

func shown(method, uri string, body []byte) request {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return request{Method: method, URI: uri, Body: raw}
}

const asks = "credentialspec=file://webapp01.json"

func TestAHungAgentDelaysOnlyWhoAsksAndNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newWorld(hung)
		begun := time.Now()
		var wg sync.WaitGroup
		for range 3 * maxAsking {
			wg.Go(func() {
				if err := g.before(t.Context(), create(asks)); err == nil {
					t.Error("it passed without the agent's word")
				}
				if took := time.Since(begun); took > agentTimeout {
					t.Errorf("refused after %v", took)
				}
			})
		}
		synctest.Wait()
		for range 100 {
			if err := g.before(t.Context(), create("no-new-privileges")); err != nil {
				t.Error(err)
			}
		}
		if time.Since(begun) != 0 {
			t.Error("who does not ask had to wait")
		}
		wg.Wait()
	})
}

func TestWhatTheAgentSaysIsWhatTheUserReads(t *testing.T) {
	g, _ := newWorld(answering(func(control.Request) error { return fmt.Errorf("no rule allows it: %w", fault.ErrDenied) }))
	if err := g.before(t.Context(), create(asks)); err == nil || err.Error() != "no rule allows it: denied" && err.Error() != "no rule allows it: "+fault.ErrDenied.Error() {
		t.Error(err)
	}
}

func TestABuildWithACredentialSpecIsRefusedAndNobodyIsAsked(t *testing.T) {
	g, _ := newWorld(nil)
	uri := "/v1.41/build?securityopt=" + url.QueryEscape(`["`+asks+`"]`)
	if err := g.before(t.Context(), shown("POST", uri, nil)); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "build without --security-opt credentialspec") {
		t.Error(err)
	}
	if err := g.before(t.Context(), shown("POST", "/v1.41/build?securityopt="+url.QueryEscape(`["no-new-privileges"]`), nil)); err != nil {
		t.Error(err)
	}
}

func TestBodiesThatDockerCannotReadAreDockersToRefuse(t *testing.T) {
	g, _ := newWorld(nil)
	for _, body := range []string{"", "{", "[]", `{"HostConfig":{"SecurityOpt":"credentialspec=x"}}`, `{"Labels":["a"]}`, "null", "\xff"} {
		if err := g.before(t.Context(), shown("POST", "/containers/create", []byte(body))); err != nil {
			t.Errorf("%q: %v", body, err)
		}
	}
	if err := g.before(t.Context(), request{Method: "POST", URI: "/containers/create", Body: json.RawMessage(`"not base64!"`)}); err != nil {
		t.Error(err)
	}
}

func TestEveryWayToAskIsSeen(t *testing.T) {
	g, _ := newWorld(nil)
	for _, body := range []string{
		`{"HostConfig":{"SecurityOpt":["credentialspec=file://x"]}}`,
		`{"hostconfig":{"SECURITYOPT":["no-new-privileges","CREDENTIALSPEC=file://x"]}}`,
		`{"SecurityOpt":["credentialspec=file://x"]}`,
		`{"HostConfig":{"SecurityOpt":["credentialſpec=file://x"]}}`, // strings.EqualFold, as Docker has it
		`{"Labels":{"gmsa-agent/credential-spec":"file://x"}}`,
		`{"HostConfig":{"SecurityOpt":[]},"HostConfig":{"SecurityOpt":["credentialspec="]}} and more`,
	} {
		for _, uri := range []string{"/containers/create", "/v1.41/containers/create?name=x", "/v1.24/containers/%63reate", "http://docker/v1.41/containers/create"} {
			if err := g.before(t.Context(), shown("POST", uri, []byte(body))); !errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("%s %s: %v", uri, body, err)
			}
		}
	}
}

func TestAContainerIsLookedAtOnceAtMost(t *testing.T) {
	g, c := newWorld(nil)
	quiet := docker.Container{Ask: docker.NewAsk("id1", "/web", "web:1", nil, []string{"no-new-privileges"})}
	c.by["id1"], c.by["web"] = quiet, quiet
	for range 3 {
		if err := g.before(t.Context(), request{Method: "POST", URI: "/containers/id1/start"}); err != nil {
			t.Error(err)
		}
	}
	if c.looked != 1 {
		t.Errorf("looked at %d times", c.looked)
	}
	// A name may be another container's by now.
	for range 3 {
		if err := g.before(t.Context(), request{Method: "POST", URI: "/v1.41/containers/web/restart?t=1"}); err != nil {
			t.Error(err)
		}
	}
	if c.looked != 4 {
		t.Errorf("looked at %d times", c.looked)
	}
	if err := g.before(t.Context(), request{Method: "POST", URI: "/containers/nobody/start"}); err != nil {
		t.Error("Docker says itself that there is none:", err)
	}
	c.err = fault.ErrUnavailable
	if err := g.before(t.Context(), request{Method: "POST", URI: "/containers/web/start"}); err == nil {
		t.Error("it passed, and nobody knows what it asks for")
	}
}

func TestANameThatBecameAnothersIsReported(t *testing.T) {
	var mu sync.Mutex
	var told []docker.Finished
	g, c := newWorld(answering(func(r control.Request) error {
		var f docker.Finished
		if r.Verb == docker.VerbFinished {
			if err := json.Unmarshal(r.Body, &f); err != nil {
				return err
			}
			mu.Lock()
			told = append(told, f)
			mu.Unlock()
		}
		return nil
	}))
	c.by["web"] = docker.Container{Ask: docker.NewAsk("id1", "/web", "web:1", nil, nil)}
	r := request{Method: "POST", URI: "/containers/web/start"}
	if err := g.before(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	c.by["web"] = docker.Container{Ask: docker.NewAsk("id2", "/web", "web:1", nil, []string{asks})}
	r.Status = http.StatusNoContent
	g.after(t.Context(), r)
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 1 || told[0].ID != "id2" || told[0].Unasked == nil {
		t.Errorf("%+v", told)
	}
}

// plugin calls the gate as dockerd does.
func plugin(t testing.TB, g *Gate, allowed error) func(call, body string) (int, string) {
	h := http.NewServeMux()
	for path, f := range map[string]http.HandlerFunc{
		"/Plugin.Activate":      g.activate,
		"/AuthZPlugin.AuthZReq": g.answer(g.before),
		"/AuthZPlugin.AuthZRes": g.answer(func(ctx context.Context, r request) error { g.after(ctx, r); return nil }),
	} {
		h.Handle(path, f)
	}
	return func(call, body string) (int, string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/"+call, strings.NewReader(body))
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), connKey{}, caller{allowed})))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
}

type caller struct{ err error }

func (c caller) Authorize() error { return c.err }

func TestThePluginSpeaksAsDockerdExpects(t *testing.T) {
	g, _ := newWorld(nil)
	call := plugin(t, g, nil)
	for _, c := range []struct {
		call, body string
		code       int
		answer     string
	}{
		{"Plugin.Activate", "", 200, `{"Implements":["authz"]}`},
		{"AuthZPlugin.AuthZReq", `{"RequestMethod":"GET","RequestUri":"/_ping","RequestHeaders":{"A":"b"},"User":"x"}`, 200, `{"Allow":true}`},
		{"AuthZPlugin.AuthZRes", `{"RequestMethod":"GET","RequestUri":"/_ping","ResponseStatusCode":200}`, 200, `{"Allow":true}`},
		{"AuthZPlugin.AuthZReq", `{"RequestMethod":"GET"}`, 400, "a request without method or URI"},
		{"AuthZPlugin.AuthZReq", `{`, 400, ""},
		{"AuthZPlugin.AuthZReq", `{"RequestMethod":"POST","RequestUri":"/x","RequestBody":"` + strings.Repeat("A", maxRequest) + `"}`, 400, "more than"},
		{"AuthZPlugin.AuthZReq", `{"RequestMethod":"POST","RequestUri":"/containers/create","RequestBody":"` + base64.StdEncoding.EncodeToString([]byte(`{"SecurityOpt":["credentialspec=file://x"]}`)) + `"}`, 200, `{"Allow":false,"Msg":"the container asks for a gMSA, and the agent cannot be asked: `},
	} {
		if code, answer := call(c.call, c.body); code != c.code || !strings.Contains(answer, c.answer) {
			t.Errorf("%s %.80s: %d %s", c.call, c.body, code, answer)
		}
	}
	if code, _ := plugin(t, g, fault.ErrDenied)("Plugin.Activate", ""); code != http.StatusForbidden {
		t.Errorf("a stranger was answered: %d", code)
	}
}

func TestDockerdIsToldWhereThePipeIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins")
	for range 2 {
		if err := announce(dir, `\\.\pipe\ProtectedPrefix\Administrators\gmsa-agent\docker`); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "gmsa-agent.spec"))
	if want := "npipe:////./pipe/ProtectedPrefix/Administrators/gmsa-agent/docker"; err != nil || string(data) != want {
		t.Errorf("%s, %v", data, err)
	}
}

func FuzzAQuestionOfDockerds(f *testing.F) {
	f.Add([]byte(`{"RequestMethod":"POST","RequestUri":"/v1.41/containers/create?name=x","RequestBody":"eyJTZWN1cml0eU9wdCI6WyJjcmVkZW50aWFsc3BlYz1maWxlOi8veCJdfQ=="}`))
	f.Add([]byte(`{"RequestMethod":"POST","RequestUri":"/containers/a/b/start","ResponseStatusCode":201,"ResponseBody":"eyJJZCI6IngifQ=="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := readRequest(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		g, _ := newWorld(nil)
		refused := g.before(t.Context(), q)
		body, err := q.body()
		if err != nil {
			body = nil
		}
		// Nothing but what asks is refused where the agent is not there.
		if refused != nil && !bytes.Contains(bytes.ToLower(body), []byte("credential")) {
			t.Errorf("refused: %v", refused)
		}
		g.after(t.Context(), q)
	})
}

// What the gate adds to a request that creates a container without a gMSA, but for
// dockerd's two calls themselves.
func BenchmarkCreateWithoutAGMSA(b *testing.B) {
	g, _ := newWorld(nil)
	body, err := json.Marshal(map[string]any{"Image": "web:1", "Cmd": []string{"cmd"}, "Labels": map[string]string{"a": "b"}, "HostConfig": map[string]any{"Memory": 1 << 30}})
	if err != nil {
		b.Fatal(err)
	}
	q, err := json.Marshal(map[string]any{"RequestMethod": "POST", "RequestUri": "/v1.41/containers/create", "RequestBody": body, "ResponseStatusCode": 201, "ResponseBody": []byte(`{"Id":"0123456789abcdef"}`)})
	if err != nil {
		b.Fatal(err)
	}
	call := plugin(b, g, nil)
	for b.Loop() {
		for _, name := range []string{"AuthZPlugin.AuthZReq", "AuthZPlugin.AuthZRes"} {
			if code, _ := call(name, string(q)); code != 200 {
				b.Fatal(code)
			}
		}
	}
}
