package kubernetes

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// double is a server that says what a test wants of a Secret.
type double struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
}

func newDouble(t *testing.T, get, watch http.HandlerFunc) *double {
	t.Helper()
	d := &double{}
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.requests = append(d.requests, r)
		d.mu.Unlock()
		if r.URL.Query().Has("watch") {
			watch(w, r)
			return
		}
		get(w, r)
	}))
	d.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that break off are the purpose
	d.EnableHTTP2 = true
	d.StartTLS()
	t.Cleanup(d.Close)
	return d
}

// count is how many requests there were, for watches or for Secrets.
func (d *double) count(watches bool) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.requests {
		if r.URL.Query().Has("watch") == watches {
			n++
		}
	}
	return n
}

const token = "canary-token"

func (d *double) kubeconfig(t *testing.T) string {
	t.Helper()
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Certificate().Raw}))
	path := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(path, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"c",
"clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority-data":%q}}],"users":[{"name":"u","user":{"token":%q}}],
"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}`, d.URL, ca, token), 0o600))
	return path
}

// object is a Secret in JSON.
func object(n name, resourceVersion, password string) string {
	b, _ := json.Marshal(map[string]any{
		"kind": "Secret", "apiVersion": "v1",
		"metadata": map[string]any{"namespace": n.namespace, "name": n.name, "uid": "u", "resourceVersion": resourceVersion},
		"data":     map[string][]byte{"username": []byte("svc"), "password": []byte(password), "domainName": []byte("contoso.com")},
	})
	return string(b)
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangs is a watch that tells nothing.
func hangs(w http.ResponseWriter, r *http.Request) {
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

var contoso = name{"apps", "contoso"}

func TestAnswersHaveTheKindThatTheyMean(t *testing.T) {
	whole := object(contoso, "1", "canary")
	for label, c := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		text   string
	}{
		"denied":      {says(403, `{"kind":"Status","reason":"Forbidden","message":"cannot get resource"}`), fault.ErrDenied, "cannot get resource"},
		"expired":     {says(401, `{"kind":"Status"}`), fault.ErrDenied, "not valid there"},
		"absent":      {says(404, `{"kind":"Status","reason":"NotFound","message":"not found"}`), fault.ErrNotFound, "404"},
		"broken":      {says(500, `{"kind":"Status","message":"etcd"}`), fault.ErrUnavailable, "500"},
		"busy":        {says(429, `{"kind":"Status","message":"later"}`), fault.ErrUnavailable, "429"},
		"redirect":    {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, fault.ErrUnavailable, "302"},
		"a page":      {says(200, `<html>canary`), fault.ErrUnavailable, "no Secret"},
		"a list":      {says(200, `{"kind":"SecretList","items":[]}`), fault.ErrUnavailable, "no Secret"},
		"no metadata": {says(200, `{"kind":"Secret","data":{}}`), fault.ErrUnavailable, "no object"},
		"another":     {says(200, object(name{"apps", "other"}, "1", "canary")), fault.ErrUnavailable, "another object"},
		"elsewhere":   {says(200, object(name{"kube-system", "contoso"}, "1", "canary")), fault.ErrUnavailable, "another object"},
		"no base64":   {says(200, strings.Replace(whole, `"password":"`, `"password":"?`, 1)), fault.ErrUnavailable, "no Secret"},
		"no keys":     {says(200, strings.ReplaceAll(whole, `"password"`, `"canary"`)), fault.ErrMalformed, "without password"},
		"too long":    {says(200, whole+strings.Repeat(" ", maxObject)), fault.ErrMalformed, "more than"},
		"half": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
			_, _ = io.WriteString(w, whole[:len(whole)/2])
		}, fault.ErrUnavailable, ""},
	} {
		t.Run(label, func(t *testing.T) {
			d := newDouble(t, c.answer, hangs)
			_, err := open(t, d.kubeconfig(t), "apps").Fetch(t.Context(), ref("apps/contoso"))
			wantError(t, err, c.kind, "fetch kubernetes://apps/contoso", c.text)
			if d.count(true) > 0 {
				t.Error("it is watched")
			}
		})
	}
}

func TestAServerThatIsBusySaysWhenToComeBack(t *testing.T) {
	d := newDouble(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "20")
		says(429, `{"kind":"Status"}`)(w, r)
	}, hangs)
	_, err := open(t, d.kubeconfig(t), "apps").Fetch(t.Context(), ref("apps/contoso"))
	if throttle, ok := errors.AsType[secrets.Throttle](err); !ok || throttle.RetryAfter() != 20*time.Second {
		t.Errorf("%v", err)
	}
}

func TestNothingIsSentForANamespaceThatIsNotAllowed(t *testing.T) {
	d := newDouble(t, says(200, object(contoso, "1", "one")), hangs)
	file := d.kubeconfig(t)
	_, err := open(t, file).Fetch(t.Context(), ref("apps/contoso"))
	wantError(t, err, fault.ErrDenied, "no namespace is allowed (secrets.kubernetes.namespaces)")
	s := open(t, file, "apps", "team")
	_, err = s.Fetch(t.Context(), ref("kube-system/contoso"))
	wantError(t, err, fault.ErrDenied, "none of secrets.kubernetes.namespaces")
	for _, rest := range []string{"apps/../kube-system", "apps/a/../../x", "apps/", "apps", "apps/a?watch=true", "apps/A", "/contoso"} {
		_, err = s.Fetch(t.Context(), ref(rest))
		wantError(t, err, fault.ErrMalformed)
	}
	if len(d.requests) > 0 {
		t.Errorf("%d requests were sent", len(d.requests))
	}
}

func TestTheEnvironmentAndItsProxiesChangeNothing(t *testing.T) {
	d := newDouble(t, says(200, object(contoso, "1", "one")), hangs)
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the trap was asked") }))
	defer trap.Close()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "KUBERNETES_MASTER"} {
		t.Setenv(name, trap.URL)
	}
	t.Setenv("KUBECONFIG", "/does/not/exist")
	wantPassword(t, open(t, d.kubeconfig(t), "apps"), ref("apps/contoso"), "one")
	for _, r := range d.requests {
		if r.Proto != "HTTP/1.1" || r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("%s was asked by %s", r.URL, r.Proto)
		}
	}
}

func TestAServerThatIsNotTrustedGetsNoToken(t *testing.T) {
	d := newDouble(t, hangs, hangs)
	data, err := os.ReadFile(d.kubeconfig(t))
	must(t, err)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(path, bytes.ReplaceAll(data, []byte("certificate-authority-data"), []byte("none")), 0o600))
	_, err = open(t, path, "apps").Fetch(t.Context(), ref("apps/contoso"))
	wantError(t, err, fault.ErrUnavailable, "certificate")
	if len(d.requests) > 0 {
		t.Error("a request was sent")
	}
}

func TestWatchesAreBounded(t *testing.T) {
	d := newDouble(t, func(w http.ResponseWriter, r *http.Request) {
		says(200, object(name{"apps", filepath.Base(r.URL.Path)}, "1", "one"))(w, r)
	}, hangs)
	s := open(t, d.kubeconfig(t), "apps")
	for i := range maxWatches + 10 {
		fetch(t, s, ref(fmt.Sprintf("apps/s%d", i))).Wipe()
	}
	lab.Eventually(t, "the watches", func(context.Context) error {
		if n := d.count(true); n != maxWatches {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	if s.watches.running != maxWatches {
		t.Errorf("%d watches", s.watches.running)
	}
	last := ref(fmt.Sprintf("apps/s%d", maxWatches+5))
	if !s.Current(t.Context(), last, "u/1") || s.Current(t.Context(), last, "u/0") {
		t.Error("one that is not watched is not what was fetched last")
	}
	must(t, s.Close())
	if s.watches.running != 0 || s.Current(t.Context(), ref("apps/s1"), "u/1") {
		t.Error("watched after Close")
	}
	fetch(t, s, ref("apps/s1")).Wipe()
	if s.watches.running != 0 {
		t.Error("a watch began after Close")
	}
}

func TestWhatIsKnownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatches(nil)
		w.running = maxWatches // none is started
		for i := range maxSecrets + 1 {
			w.fetched(name{"apps", fmt.Sprint(i)}, version{"u", "1"})
			time.Sleep(time.Second)
		}
		if len(w.known) != maxSecrets || w.current(name{"apps", "0"}, "u/1") || !w.current(name{"apps", "1"}, "u/1") {
			t.Errorf("%d are known", len(w.known))
		}
	})
}

func TestAServerThatEndsWatchesAtOnceIsNotAskedAtOnce(t *testing.T) {
	for _, watch := range []http.HandlerFunc{says(200, ""), says(500, ""), says(200, `{"type":"ERROR","object":{"code":410}}`+"\n"), says(403, `{"kind":"Status"}`)} {
		d := newDouble(t, says(200, object(contoso, "1", "one")), watch)
		s := open(t, d.kubeconfig(t), "apps")
		pauses := make(chan int, 10)
		s.watches.pause = func(failures int, _ bool) time.Duration {
			pauses <- failures
			return time.Millisecond
		}
		fetch(t, s, ref("apps/contoso")).Wipe()
		for want := 1; want <= 3; want++ {
			if got := <-pauses; got != want {
				t.Errorf("pause after %d failures, want %d", got, want)
			}
		}
		s.watches.end(contoso)
	}
}

func TestPausesGrowToALimit(t *testing.T) {
	for _, c := range []struct {
		failures int
		denied   bool
		want     time.Duration
	}{{1, false, firstPause}, {3, false, 4 * firstPause}, {7, false, mostPause}, {1000, false, mostPause}, {1, true, deniedPause}} {
		if p := pause(c.failures, c.denied); p < c.want*3/4 || p > c.want*5/4 {
			t.Errorf("%v after %d failures, want about %v", p, c.failures, c.want)
		}
	}
}

func TestASecretThatNobodyUsesIsWatchedNoMore(t *testing.T) {
	ended := make(chan struct{}, 100)
	d := newDouble(t, says(200, object(contoso, "1", "one")), func(http.ResponseWriter, *http.Request) { ended <- struct{}{} })
	s := open(t, d.kubeconfig(t), "apps")
	s.watches.pause = func(int, bool) time.Duration { return time.Millisecond }
	fetch(t, s, ref("apps/contoso")).Wipe()
	<-ended
	<-ended
	s.watches.mu.Lock()
	s.watches.known[contoso].used = time.Now().Add(-idle)
	s.watches.mu.Unlock()
	lab.Eventually(t, "the end of the watch", func(context.Context) error {
		s.watches.mu.Lock()
		defer s.watches.mu.Unlock()
		if s.watches.running > 0 {
			return errors.New("it goes on")
		}
		return nil
	})
	if s.Current(t.Context(), ref("apps/contoso"), "u/1") {
		t.Error("it is current still, though nobody looks")
	}
}

func TestStatesAreInOneOrder(t *testing.T) {
	st := &state{latest: version{"u", "5"}}
	for _, step := range []struct {
		v    version
		gone bool
		want version
		is   bool
	}{
		{version{"u", "4"}, true, version{"u", "5"}, false},
		{version{"u", "6"}, true, version{"u", "6"}, true},
		{version{"u", "5"}, false, version{"u", "6"}, true}, // a fetch that was under way
		{version{"v", "10"}, false, version{"v", "10"}, false},
		{version{"v", "9"}, false, version{"v", "10"}, false},
		{version{"v", "x"}, false, version{"v", "x"}, false},
		{version{"v", "x"}, true, version{"v", "x"}, false},
	} {
		st.see(step.v, step.gone)
		if st.latest != step.want || st.gone != step.is {
			t.Errorf("after %v: %v, gone %v", step, st.latest, st.gone)
		}
	}
}

func BenchmarkCurrent(b *testing.B) {
	w := newWatches(nil)
	w.running = maxWatches
	w.fetched(contoso, version{"u", "1"})
	s := &Store{watches: w}
	r := secrets.Ref{Scheme: Scheme, Rest: "apps/contoso"}
	for b.Loop() {
		if !s.Current(context.Background(), r, "u/1") {
			b.Fatal("not current")
		}
	}
}

// What client-go, net/http and this package print, with everything on that makes
// them talk, has nothing secret in it.
func TestNothingSecretIsPrinted(t *testing.T) {
	if os.Getenv("KUBERNETES_CANARY") == "child" {
		canary(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingSecretIsPrinted$", "-test.v")
	cmd.Env = append(os.Environ(), "KUBERNETES_CANARY=child", "GODEBUG=http2debug=2", "GRPC_GO_LOG_SEVERITY_LEVEL=info", "GRPC_GO_LOG_VERBOSITY_LEVEL=99",
		"GORACE=exitcode=0") // client-go's timing, at level 9, reads what net/http may still be writing
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"it was fetched", "curl -v"} { // the latter is client-go's, at level 9
		if !bytes.Contains(out, []byte(want)) {
			t.Fatalf("the child has not printed %q: %s", want, out)
		}
	}
	for _, secret := range []string{"C4nary-passw0rd", token} {
		if form := secretstest.Leaked(string(out), []byte(secret)); form != "" {
			t.Errorf("%s is printed (%s)", secret, form)
		}
	}
}

func canary(t *testing.T) {
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	must(t, flags.Parse([]string{"-v=10", "-logtostderr"}))
	whole := object(contoso, "1", "C4nary-passw0rd")
	answers := []http.HandlerFunc{says(200, whole), says(200, whole[:len(whole)-2]), says(200, strings.ReplaceAll(whole, "username", "x")), says(403, whole)}
	for _, answer := range answers {
		told := make(chan struct{})
		var once sync.Once
		d := newDouble(t, answer, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"type":"ADDED","object":`+whole+"}\n")
			_, _ = io.WriteString(w, whole+"\n")
			once.Do(func() { close(told) })
		})
		s := open(t, d.kubeconfig(t), "apps")
		c, err := s.Fetch(t.Context(), ref("apps/contoso"))
		t.Logf("%v %+v %#v %v", c, c, c, err)
		if err == nil {
			t.Log("it was fetched")
			<-told
		} else if errors.Is(err, fault.ErrNotFound) {
			t.Fatal(err)
		}
		c.Wipe()
		must(t, s.Close())
	}
	klog.Flush()
	os.Exit(0) // package testing would fail for that race, which is not ours
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(object(contoso, "1", "one")))
	f.Add([]byte(`{"kind":"Secret","metadata":{"namespace":"apps","name":"contoso","uid":"u","resourceVersion":"1"},"data":{"password":null}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, v, err := parse(body, contoso)
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil || v.uid == "" || v.resource == "" {
			t.Errorf("a credential that is none: %v, version %v", err, v)
		}
	})
}
