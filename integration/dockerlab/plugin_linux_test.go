package dockerlab

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// recorder is an authorization plugin that notes what it is asked.
type recorder struct {
	mu     sync.Mutex
	asked  []question
	refuse func(question) string // why not; empty: it may
}

// question is a request that dockerd asks about, in dockerd's words.
type question struct {
	RequestMethod  string
	RequestURI     string `json:"RequestUri"`
	RequestBody    []byte
	RequestHeaders map[string]string
}

// listen has a plugin answer at a socket until the test ends.
func (r *recorder) listen(t *testing.T, socket string) *http.Server {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: r}
	go server.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return server
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.docker.plugins.v1.2+json")
	switch request.URL.Path {
	case "/Plugin.Activate":
		_, _ = w.Write([]byte(`{"Implements": ["authz"]}`))
	case "/AuthZPlugin.AuthZReq":
		var q question
		if err := json.NewDecoder(request.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked = append(r.asked, q)
		why := ""
		if r.refuse != nil {
			why = r.refuse(q)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Allow": why == "", "Msg": why})
	default:
		_, _ = w.Write([]byte(`{"Allow": true}`))
	}
}

// refusing has it refuse what why gives a reason for.
func (r *recorder) refusing(why func(question) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = why
}

// about returns what was asked of URIs with a text in them, and forgets all.
func (r *recorder) about(text string) (found []question) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.asked {
		if strings.Contains(q.RequestURI, text) {
			found = append(found, q)
		}
	}
	r.asked = nil
	return found
}

// recorded starts a lab whose dockerd asks a recorder.
func recorded(t *testing.T, f Flavour) (*Lab, *recorder) {
	t.Helper()
	l := start(t, Options{Flavour: f})
	r := &recorder{}
	r.listen(t, l.Path("plugins", "recorder.sock"))
	if err := l.AskPlugins(t.Context(), "recorder"); err != nil {
		t.Fatal(err)
	}
	return l, r
}

// send sends a request to dockerd as it is, and returns the answer's status and
// body.
func (l *Lab) send(t *testing.T, uri, contentType, body string, chunked bool) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://docker", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Opaque = uri
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if chunked {
		request.ContentLength = -1
	}
	client := l.API()
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // read
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// What the gate rests on: which requests dockerd takes for a creation, and which
// of their bodies it shows.
func TestWhatAPluginIsShownOfACreation(t *testing.T) {
	const mime = "application/json"
	body := `{"Image":"` + Image + `","HostConfig":{"NetworkMode":"none"}}`
	long := func(n int) string { return `{"Labels":{"long":"` + strings.Repeat("x", n) + `"},` + body[1:] }
	type shown struct {
		status int
		body   bool // it was shown as it was sent
		asked  bool
	}
	type test struct {
		uri, contentType, body string
		chunked                bool
		debian, current        shown
	}
	both := func(uri, contentType, body string, chunked bool, s shown) test {
		return test{uri, contentType, body, chunked, s, s}
	}
	made := shown{201, true, true}
	tests := map[string]test{
		"plain":                       both("/v1.41/containers/create?name=plain", mime, body, false, made),
		"chunked":                     both("/v1.41/containers/create", mime, body, true, made),
		"without a version":           both("/containers/create", mime, body, false, made),
		"with a character set":        both("/v1.41/containers/create", mime+"; charset=utf-8", body, false, made),
		"in capitals":                 both("/v1.41/containers/create", "Application/JSON", body, false, made),
		"an escaped path":             both("/v1.41/%63ontainers/%63reate", mime, body, false, made),
		"an escaped slash":            both("/v1.41/containers%2Fcreate", mime, body, false, made),
		"an absolute URI":             both("http://docker/v1.41/containers/create", mime, body, false, made),
		"a slash too many":            both("/v1.41//containers/create", mime, body, false, shown{404, false, false}),
		"a slash at the end":          both("/v1.41/containers/create/", mime, body, false, shown{404, false, false}),
		"a path in capitals":          both("/v1.41/Containers/Create", mime, body, false, shown{404, false, false}),
		"a way around":                both("/v1.41/x/../containers/create", mime, body, false, shown{404, false, false}),
		"no type":                     both("/v1.41/containers/create", "", body, false, shown{400, false, true}),
		"another type":                both("/v1.41/containers/create", "text/plain", body, false, shown{400, false, true}),
		"options in keys of any case": both("/v1.41/containers/create", mime, strings.ToLower(body[:len(body)-2])+`,"securityopt":["credentialspec=file://x"]}}`, false, shown{500, true, true}),
		"options that are taken back": both("/v1.41/containers/create", mime, `{"HostConfig":{"SecurityOpt":["credentialspec=file://x"]},`+body[1:len(body)-2]+`,"securityOpt":[]}}`, false, made),
		"options that are added to":   both("/v1.41/containers/create", mime, `{"HostConfig":{"SecurityOpt":["credentialspec=file://x"]},`+body[1:], false, shown{500, true, true}),
		"what follows the body":       {"/v1.41/containers/create", mime, body + "{}", false, made, shown{400, true, true}},
		"longer than 1 MiB":           {"/v1.41/containers/create", mime, long(2 << 20), false, shown{201, false, true}, made},
		"longer than 4 MiB":           {"/v1.41/containers/create", mime, long(5 << 20), false, shown{201, false, true}, shown{500, false, false}},
		"longer than 4 MiB in chunks": {"/v1.41/containers/create", mime, long(5 << 20), true, shown{201, false, true}, shown{500, false, false}},
		"a start that brings options": both("/v1.41/containers/plain/start", mime, `{"SecurityOpt":["credentialspec=file://x"]}`, false, shown{400, true, true}),
		"a build that brings options": both("/v1.41/build?securityopt=%5B%22credentialspec%3Dfile%3A%2F%2Fx%22%5D", "application/x-tar", "", false, shown{400, false, true}),
		"the invalid":                 {"/v1.41/containers/create", mime, `{"Image":`, false, shown{500, true, true}, shown{400, true, true}},
	}
	for _, flavour := range Flavours {
		t.Run(string(flavour), func(t *testing.T) {
			l, r := recorded(t, flavour)
			for name, test := range tests {
				want := test.debian
				if flavour == Current {
					want = test.current
				}
				r.about("")
				status, text := l.send(t, test.uri, test.contentType, test.body, test.chunked)
				asked := r.about(test.uri)
				got := shown{status: status, asked: len(asked) == 1}
				if got.asked {
					got.body = test.body != "" && string(asked[0].RequestBody) == test.body
				}
				if got != want {
					t.Errorf("%s: %+v, want %+v: %.200s", name, got, want, text)
				}
			}
		})
	}
}

func TestWhatAPluginSaysIsWhatTheUserReads(t *testing.T) {
	for _, flavour := range Flavours {
		t.Run(string(flavour), func(t *testing.T) {
			l, r := recorded(t, flavour)
			r.refusing(func(q question) string {
				if strings.Contains(q.RequestURI, "/containers/create") {
					return "for a reason"
				}
				return ""
			})
			_, err := l.Docker(t.Context(), "run", "--network", "none", Image)
			if e := (*CommandError)(nil); !errors.As(err, &e) || e.Code != 125 || e.Line() != "docker: Error response from daemon: authorization denied by plugin recorder: for a reason." {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAPluginIsNotAskedWhatDockerDoesByItself(t *testing.T) {
	for _, flavour := range Flavours {
		t.Run(string(flavour), func(t *testing.T) {
			l, r := recorded(t, flavour)
			id := l.must(t, "create", "--network", "none", "--restart", "on-failure:2", Image, "false")
			r.about("")
			l.must(t, "start", id)
			lab.Eventually(t, "two restarts", func(ctx context.Context) error {
				out, err := l.Docker(ctx, "inspect", "--format", "{{.RestartCount}} {{.State.Status}}", id)
				if err == nil && out != "2 exited" {
					err = errors.New(out)
				}
				return err
			})
			if asked := r.about("/start"); len(asked) != 1 {
				t.Errorf("asked of %d starts, want 1", len(asked))
			}
		})
	}
}

// dockerd looks for a plugin for 15 seconds at its start, and ends without it.
func TestDockerdDoesNotStartWithoutItsPlugin(t *testing.T) {
	for _, flavour := range Flavours {
		t.Run(string(flavour), func(t *testing.T) {
			t.Parallel()
			l := start(t, Options{Flavour: flavour})
			err := l.AskPlugins(t.Context(), "nobody")
			if err == nil || !strings.Contains(err.Error(), "plugin") || !strings.Contains(err.Error(), "not found") {
				t.Errorf("%v", err)
			}
		})
	}
}

// While dockerd waits for its plugin, the plugin may come.
func TestDockerdWaitsForAPluginThatIsBeingStarted(t *testing.T) {
	for _, flavour := range Flavours {
		t.Run(string(flavour), func(t *testing.T) {
			l := start(t, Options{Flavour: flavour})
			r := &recorder{}
			started := make(chan error, 1)
			go func() { started <- l.AskPlugins(t.Context(), "recorder") }()
			lab.Eventually(t, "dockerd's looking for it", func(context.Context) error {
				logs, err := filepath.Glob(l.Path("dockerd-*.log")) // the second start's is read
				if err != nil || len(logs) < 2 {
					return errors.Join(err, errors.New("it was not started again"))
				}
				text, err := os.ReadFile(logs[len(logs)-1])
				if err == nil && !strings.Contains(string(text), "Unable to locate plugin") {
					err = errors.New("it does not")
				}
				return err
			})
			r.listen(t, l.Path("plugins", "recorder.sock"))
			if err := <-started; err != nil {
				t.Fatal(err)
			}
			l.must(t, "ps")
		})
	}
}

// On Windows a plugin is found by a file that names its pipe. With such a file,
// dockerd looks for the plugin itself for half a minute.
func TestDockerdWaitsForAPluginThatAFileNames(t *testing.T) {
	for _, flavour := range Flavours {
		t.Run(string(flavour), func(t *testing.T) {
			l := start(t, Options{Flavour: flavour})
			name := "mkdir -p /etc/docker/plugins && echo unix://" + l.Path("named.sock") + " > /etc/docker/plugins/named.spec"
			if out, err := l.namespaces.Command(t.Context(), "/bin/busybox", "sh", "-c", name).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			r := &recorder{}
			started := make(chan error, 1)
			go func() { started <- l.AskPlugins(t.Context(), "named") }()
			lab.Eventually(t, "dockerd's looking for it", func(context.Context) error {
				logs, err := filepath.Glob(l.Path("dockerd-*.log"))
				if err != nil || len(logs) < 2 {
					return errors.Join(err, errors.New("it was not started again"))
				}
				text, err := os.ReadFile(logs[len(logs)-1])
				if err == nil && !strings.Contains(string(text), "Unable to connect to plugin") {
					err = errors.New("it does not")
				}
				return err
			})
			r.listen(t, l.Path("named.sock"))
			if err := <-started; err != nil {
				t.Fatal(err)
			}
			l.must(t, "ps")
			if len(r.about("/containers/json")) == 0 {
				t.Error("the plugin was not asked")
			}
		})
	}
}
