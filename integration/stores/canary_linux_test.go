package stores

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// loud is an environment in which every library that can prints what it does.
var loud = []string{
	"GODEBUG=http2debug=2,netdns=9",
	"AZURE_SDK_GO_LOGGING=all",
	"AWS_SDK_GO_LOG_LEVEL=debug", "AWS_LOG_LEVEL=debug",
	"GOOGLE_SDK_GO_LOGGING_LEVEL=debug", "GRPC_GO_LOG_SEVERITY_LEVEL=info", "GRPC_GO_LOG_VERBOSITY_LEVEL=99", "GRPC_TRACE=all",
	"VAULT_LOG_LEVEL=trace", "VAULT_LOG_REQUESTS_LEVEL=trace",
	"KUBE_LOG_LEVEL=10", "DEBUG=*", "LOG_LEVEL=trace",
}

// canary looks for what nobody may see.
type canary struct {
	t interface {
		Errorf(format string, args ...any)
	}

	mu      sync.Mutex
	secrets map[string][]byte // by what they are
	stop    func()
}

// newCanary looks at the command line and the environment of every process of
// the machine, short-lived ones as far as one look each 10 ms sees them, until
// it is stopped.
func newCanary(t *testing.T) *canary {
	k := &canary{t: t, secrets: map[string][]byte{}}
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		looks := map[string]int{}
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				k.lookAtProcesses(looks)
			}
		}
	})
	k.stop = sync.OnceFunc(func() { close(end); done.Wait() })
	t.Cleanup(k.stop)
	return k
}

func (k *canary) add(what, secret string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secrets[what+" "+secret[:4]+"…"] = []byte(secret)
}

// looksAtProcess is how often a process is looked at: its command line is its
// parent's until it has become what it shall be.
const looksAtProcess = 5

func (k *canary) lookAtProcesses(looks map[string]int) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return
	}
	for _, dir := range processes {
		if looks[dir]++; looks[dir] > looksAtProcess {
			continue
		}
		for _, name := range []string{"cmdline", "environ"} {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil { // one that has ended has neither
				k.search(dir+"/"+name, data)
			}
		}
	}
}

// search looks for every secret in every form.
func (k *canary) search(place string, data []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for what, secret := range k.secrets {
		if form := secretstest.Leaked(string(data), secret); form != "" {
			k.t.Errorf("%s has the %s (%s)", place, what, form)
		}
	}
}

// searchFolder looks into every file below a folder.
func (k *canary) searchFolder(dir string) (files int) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		files++
		k.search(path, data)
		return err
	})
	if err != nil {
		k.t.Errorf("%v", err)
	}
	return files
}

func TestTheCanaryFindsWhatItLooksFor(t *testing.T) {
	var found recorder
	k := &canary{t: &found, secrets: map[string][]byte{}}
	k.add("password", "C4nary-Passw0rd!")
	k.search("a log", []byte("value=QzRuYXJ5LVBhc3N3MHJkIQ=="))
	if found != 1 {
		t.Errorf("found %d times", found)
	}
}

// recorder counts the errors of a test.
type recorder int

func (r *recorder) Errorf(string, ...any) { *r++ }

// TestNothingSecretShowsWhateverLibrariesAreToldToPrint has the agent fetch from
// every store, in order and in trouble, with every library's debug output on.
func TestNothingSecretShowsWhateverLibrariesAreToldToPrint(t *testing.T) {
	everyKind(t, func(t *testing.T, k kind) {
		h := newHost(t)
		look := newCanary(t)
		h.env = append(h.env, loud...)
		spec := h.startSpecs(look)
		s := h.start(k)
		h.configure(map[string]any{
			"log":     map[string]any{"level": "debug"},
			"secrets": map[string]any{"cache": map[string]any{"ttl": "0s"}},
		})
		password := token()
		look.add("password", password)
		s.put("gmsa", content(t, "contoso.com", user, []byte(password)))
		h.startAgent()

		c := container{"canary", spec, s.ref("gmsa")}
		document, err := h.admit(c)
		h.must(err)
		parsed, err := credspec.Parse(document)
		h.must(err)
		look.add("grant token", parsed.ActiveDirectoryConfig.HostAccountConfig.PluginInput)
		release, err := h.redeem(document)
		h.must(err)
		if string(release.Password) != password {
			t.Error("another password was released")
		}
		for _, is := range []condition{refuses, throttled, half, foreign, untrusted, stopped} {
			if s.become(is) {
				if _, err := h.redeem(document); err == nil {
					t.Errorf("%s: it was released", is)
				}
			}
		}
		s.become(healthy)
		broken := token()
		look.add("content that is no credential", broken)
		s.put("broken", `{"password": "`+broken+`"`)
		if _, err := h.admit(container{"broken", spec, s.ref("broken")}); err == nil {
			t.Error("content that is no credential was released")
		}
		for _, credential := range s.credentials() {
			look.add("credential", credential)
		}

		for _, args := range [][]string{
			{"status"}, {"status", "-o", "json"}, {"containers"}, {"containers", "inspect", "canary"}, {"audit"},
			{"secret", "check", s.ref("gmsa")}, {"--log-level", "debug", "secret", "check", s.ref("broken")}, {"config", "show"}, {"doctor"},
		} {
			out, _ := h.command(args...).CombinedOutput() // some fail, and then the error is of interest
			look.search(strings.Join(args, " "), out)
		}
		s.remove("broken") // which a store without a server has in the host's folder
		log, err := os.ReadFile(h.log())
		h.must(err)
		h.stopAgent()
		look.stop()
		look.search("the agent's log", log)
		if files := look.searchFolder(h.path("state")); files < 3 { // grants, trail, cached credential specs
			t.Errorf("only %d files were searched: the search is void", files)
		}
		if k.scheme == "local" && look.searchFolder(h.path("local")) < 2 { // the secret and the key
			t.Error("the local store was not searched")
		}
		if !bytes.Contains(log, []byte("http2debug")) {
			t.Error("the agent's log does not say that it ignores http2debug")
		}
	})
}

// startSpecs serves a credential spec by HTTP/2, to who has a token, and returns
// its reference: that is what Go's own debug output would show.
func (h *host) startSpecs(look *canary) string {
	h.Helper()
	bearer := token()
	look.add("bearer token", bearer)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+bearer {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(contosoSpec)) // the agent may have left
	}))
	h.Cleanup(server.Close)
	const name = "specs.contoso.com"
	h.newFront(server.URL, http.DefaultTransport, name)
	h.write(h.path("bearer"), bearer)
	h.configure(map[string]any{"credential_specs": map[string]any{"https": map[string]any{
		"hosts": map[string]any{name: map[string]any{"token_file": h.path("bearer")}},
	}}})
	return "https://" + name + "/contoso.json"
}
