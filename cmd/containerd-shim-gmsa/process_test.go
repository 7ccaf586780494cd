package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// The test binary plays all the programs: under a shim's name it is the wrapper,
// and with a file realMark beside it, the real shim.
const realMark = "this-is-the-real-shim"

func TestMain(m *testing.M) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(self), realMark)); err == nil {
		os.Exit(realShim())
	}
	if filepath.Base(self) == shimName() {
		main()
		return
	}
	os.Exit(m.Run())
}

// A report is what the real shim says of how it was run, on standard output.
type report struct {
	PID    int
	Args   []string
	Folder string
	Stdin  string
	Config string
	Extra  string // an environment variable
}

func realShim() int {
	r := report{PID: os.Getpid(), Args: os.Args[1:], Extra: os.Getenv("GMSA_TEST_EXTRA")}
	r.Folder, _ = os.Getwd()
	stdin, _ := io.ReadAll(os.Stdin)
	r.Stdin = string(stdin)
	config, _ := os.ReadFile(bundle.FileName)
	r.Config = string(config)
	_ = json.NewEncoder(os.Stdout).Encode(r)
	switch r.Stdin {
	case "fail":
		fmt.Fprint(os.Stderr, "the real shim failed")
		return 42
	case "serve":
		// As runhcs does: a process that outlives start.
		serve := exec.Command(os.Args[0])
		serve.Stdin, serve.Stdout = strings.NewReader("hang"), os.Stdout
		_ = serve.Start()
		select {}
	case "hang":
		select {}
	}
	return 0
}

// An install is the wrapper in its folder, the real shim in another, and a bundle.
type install struct {
	wrapper, real, bundle string
	endpoint              string
}

func newInstall(t *testing.T, config string) *install {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	place := func(folder string) string {
		path := filepath.Join(folder, shimName())
		in, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, in, 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	i := &install{wrapper: place(t.TempDir()), real: place(t.TempDir()), bundle: t.TempDir(), endpoint: newEndpoint(t)}
	write(t, filepath.Join(filepath.Dir(i.real), realMark), "")
	// A copy of this program is recognised as the wrapper unless it is as large as
	// real shims are.
	info, err := os.Stat(i.real)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(i.real, 2*info.Size()+1); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(i.bundle, bundle.FileName), config)
	i.configure(t, "shim = "+i.real+"\nendpoint = "+i.endpoint+"\n")
	return i
}

func newEndpoint(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		return `\\.\pipe\gmsa-agent-test-` + filepath.Base(t.TempDir()) + fmt.Sprint(os.Getpid(), time.Now().UnixNano())
	}
	return filepath.Join(t.TempDir(), "control.sock")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (i *install) configure(t *testing.T, settings string) {
	t.Helper()
	write(t, filepath.Join(filepath.Dir(i.wrapper), settingsFile), settings)
}

func (i *install) config(t *testing.T) string {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(i.bundle, bundle.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// args are what containerd passes with an action.
func args(action string) []string {
	return []string{"-namespace", "default", "-address", "", "-publish-binary", "/nowhere/containerd", "-id", `a "b" c\`, action}
}

type result struct {
	report         report
	stdout, stderr string
	code, pid      int
}

// run runs the wrapper in the bundle.
func (i *install) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), i.wrapper, args...)
	cmd.Dir, cmd.Stdin = i.bundle, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GMSA_TEST_EXTRA=é x", "PATH="+filepath.Dir(i.wrapper),
		"GORACE=atexit_sleep_ms=0") // or every process of a test with -race ends a second late
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode(), pid: cmd.ProcessState.Pid()}
	if r.stdout != "" {
		if err := json.Unmarshal(stdout.Bytes(), &r.report); err != nil {
			t.Fatalf("%v: %s", err, stdout.String())
		}
	}
	return r
}

// An agent answers on the control channel of an install.
type agent struct {
	mu    sync.Mutex
	asked []hook.Facts
}

func (a *agent) facts() []hook.Facts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func startAgent(t *testing.T, endpoint string, admit func(hook.Facts) (hook.Admission, error)) *agent {
	t.Helper()
	listener, err := channel.Listen(channel.Control, endpoint, channel.DefaultAllow(channel.Control))
	if err != nil {
		t.Fatal(err)
	}
	occupy(t, endpoint)
	a := &agent{}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { a.serve(t.Context(), conn, admit) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return a
}

func (a *agent) serve(ctx context.Context, conn net.Conn, admit func(hook.Facts) (hook.Admission, error)) {
	defer conn.Close() //nolint:errcheck // the test's end of it
	_ = control.Serve(ctx, conn, func(_ context.Context, req control.Request, _ func(any) error) (any, error) {
		if req.Verb != "admit" {
			return nil, fault.ErrMalformed
		}
		var facts hook.Facts
		if err := control.Decode(req.Body, req.Verb, &facts); err != nil {
			return nil, err
		}
		a.mu.Lock()
		a.asked = append(a.asked, facts)
		a.mu.Unlock()
		return admit(facts)
	})
}

const (
	asking   = `{"annotations":{"gmsa-agent/credential-spec":"file://web.json"},"windows":{"x":1.50}}`
	document = `{"CmsPlugins":["ActiveDirectory"]}`
	admitted = `{"annotations":{"gmsa-agent/credential-spec":"file://web.json"},"windows":{"x":1.50,"credentialSpec":"{\"CmsPlugins\":[\"ActiveDirectory\"]}"}}`
)

func TestEverythingReachesTheRealShimUntouched(t *testing.T) {
	for _, action := range []string{"start", "delete", "-info"} {
		t.Run(action, func(t *testing.T) {
			i := newInstall(t, `{"ociVersion":"1.2.1"}`)
			got := i.run(t, "options\x00\xc3\xa9", args(action)...)
			want := report{
				PID: got.report.PID, Args: args(action), Folder: got.report.Folder,
				Stdin: "options\x00é", Config: `{"ociVersion":"1.2.1"}`, Extra: "é x",
			}
			if diff := cmp.Diff(want, got.report); diff != "" {
				t.Error(diff)
			}
			if !sameFile(t, got.report.Folder, i.bundle) || got.code != 0 || got.stderr != "" {
				t.Errorf("folder %s, code %d, stderr %q", got.report.Folder, got.code, got.stderr)
			}
			if runtime.GOOS != "windows" && got.report.PID != got.pid {
				t.Errorf("the real shim is process %d, containerd started %d", got.report.PID, got.pid)
			}
		})
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

func TestTheRealShimsExitCodeAndErrorsArePassedOn(t *testing.T) {
	got := newInstall(t, `{}`).run(t, "fail", args("start")...)
	if got.code != 42 || got.stderr != "the real shim failed" {
		t.Errorf("code %d, stderr %q", got.code, got.stderr)
	}
}

func TestAContainerThatAsksStartsWithTheAdmittedDocument(t *testing.T) {
	i := newInstall(t, asking)
	agent := startAgent(t, i.endpoint, func(hook.Facts) (hook.Admission, error) {
		return hook.Admission{Document: []byte(document), Grant: "g1"}, nil
	})
	got := i.run(t, "", args("start")...)
	if got.report.Config != admitted || got.code != 0 || got.stderr != "" {
		t.Errorf("the real shim saw %s, code %d, stderr %q", got.report.Config, got.code, got.stderr)
	}
	want := []hook.Facts{{
		Key:         hook.Key{Runtime: "containerd", Namespace: "default", ID: `a "b" c\`},
		Annotations: map[string]string{hook.KeyCredentialSpec: "file://web.json"},
		Bundle:      got.report.Folder,
	}}
	if diff := cmp.Diff(want, agent.facts()); diff != "" {
		t.Error(diff)
	}
}

func TestAContainerThatIsRefusedDoesNotStartAndSaysWhy(t *testing.T) {
	i := newInstall(t, asking)
	startAgent(t, i.endpoint, func(hook.Facts) (hook.Admission, error) {
		return hook.Admission{}, fmt.Errorf("no secret serves contoso.com: %w", fault.ErrDenied)
	})
	i.mustRefuse(t, "file://web.json", "no secret serves contoso.com", "gmsa-agent containers inspect")
}

func TestAContainerThatAsksDoesNotStartWithoutTheAgent(t *testing.T) {
	newInstall(t, asking).mustRefuse(t, "file://web.json", "the agent cannot be reached", "gmsa-agent status")
}

func TestAnAnswerThatIsNoDocumentStopsTheContainer(t *testing.T) {
	i := newInstall(t, asking)
	startAgent(t, i.endpoint, func(hook.Facts) (hook.Admission, error) {
		return hook.Admission{Document: []byte("\xff")}, nil
	})
	i.mustRefuse(t, "file://web.json", "not UTF-8")
}

func TestBrokenSettingsStopOnlyContainersThatAsk(t *testing.T) {
	i := newInstall(t, asking)
	agent := startAgent(t, i.endpoint, func(hook.Facts) (hook.Admission, error) {
		return hook.Admission{Document: []byte(document)}, nil
	})
	i.configure(t, "shim = "+i.real+"\nendpoint = "+i.endpoint+"\nend = x\n")
	i.mustRefuse(t, "line 3", `unknown key "end"`)
	if asked := agent.facts(); len(asked) != 0 {
		t.Errorf("the agent was asked: %+v", asked)
	}
	write(t, filepath.Join(i.bundle, bundle.FileName), `{}`)
	if got := i.run(t, "", args("start")...); got.code != 0 || got.stderr != "" || got.report.Config != `{}` {
		t.Errorf("%+v", got)
	}
}

func TestWithoutARealShimTheAgentIsNotAsked(t *testing.T) {
	i := newInstall(t, asking)
	agent := startAgent(t, i.endpoint, func(hook.Facts) (hook.Admission, error) {
		return hook.Admission{Document: []byte(document)}, nil
	})
	i.configure(t, "endpoint = "+i.endpoint)
	i.mustRefuse(t, "file://web.json", "the real shim "+shimName()+": not found")
	if asked := agent.facts(); len(asked) != 0 {
		t.Errorf("the agent was asked: %+v", asked)
	}
	if got := i.run(t, "", args("delete")...); got.code != 1 || !strings.Contains(got.stderr, "the real shim "+shimName()+": not found") {
		t.Errorf("delete: %+v", got)
	}
}

// mustRefuse runs start and expects that nothing happens but words.
func (i *install) mustRefuse(t *testing.T, words ...string) {
	t.Helper()
	before := i.config(t)
	got := i.run(t, "", args("start")...)
	if got.code != 1 || got.stdout != "" {
		t.Errorf("code %d, stdout %q", got.code, got.stdout)
	}
	for _, want := range words {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("%q is not in %q", want, got.stderr)
		}
	}
	if strings.Count(strings.TrimSpace(got.stderr), "\n") != 0 {
		t.Errorf("more than one line: %q", got.stderr)
	}
	if after := i.config(t); after != before {
		t.Errorf("config.json became %s", after)
	}
}

func TestTwoCopiesOfTheWrapperDoNotStartEachOther(t *testing.T) {
	i, other := newInstall(t, `{}`), newInstall(t, `{}`)
	i.configure(t, "shim = "+other.wrapper)
	if got := i.run(t, "", args("start")...); got.code != 1 || !strings.Contains(got.stderr, "is another copy of this wrapper") {
		t.Errorf("%+v", got)
	}
}

func TestOtherActionsNeverAsk(t *testing.T) {
	i := newInstall(t, asking) // with no agent
	for _, action := range []string{"delete", "serve", "-info"} {
		if got := i.run(t, "", args(action)...); got.code != 0 || got.stderr != "" || got.report.Config != asking {
			t.Errorf("%s: %+v", action, got)
		}
	}
}

func TestAContainerThatDoesNotAskStartsWhateverTheAgentDoes(t *testing.T) {
	const config = `{"windows":{"credentialSpec":""},"annotations":{"a":"b"}}`
	t.Run("missing", func(t *testing.T) { newInstall(t, config).mustStart(t) })
	t.Run("hung", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("package net has no listener on a pipe")
		}
		i := newInstall(t, config)
		listener, err := net.Listen("unix", i.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		i.mustStart(t)
	})
	t.Run("a file in its place", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("a pipe's name is no file")
		}
		i := newInstall(t, config)
		write(t, i.endpoint, "")
		i.mustStart(t)
	})
}

func TestAConfigThatTheRealShimWillJudgeIsHandedOver(t *testing.T) {
	for name, config := range map[string]string{
		"empty":     ``,
		"cut short": `{"windows":{"credentialSpec":"file://a.json"`,
		"no object": `[]`,
		"too deep":  strings.Repeat(`{"a":`, 20000),
	} {
		t.Run(name, func(t *testing.T) { newInstall(t, config).mustStart(t) })
	}
	t.Run("missing", func(t *testing.T) {
		i := newInstall(t, "")
		if err := os.Remove(filepath.Join(i.bundle, bundle.FileName)); err != nil {
			t.Fatal(err)
		}
		if got := i.run(t, "", args("start")...); got.code != 0 || got.stderr != "" {
			t.Errorf("%+v", got)
		}
	})
}

// mustStart runs start and expects the real shim to see the bundle as it was.
func (i *install) mustStart(t *testing.T) {
	t.Helper()
	before := i.config(t)
	if got := i.run(t, "", args("start")...); got.code != 0 || got.stderr != "" || got.report.Config != before {
		t.Errorf("%+v", got)
	}
}

func TestAContainerThatAsksInALargeConfigIsNotOverlooked(t *testing.T) {
	i := newInstall(t, `{`+strings.Repeat(" ", bundle.MaxSize)+asking[1:])
	startAgent(t, i.endpoint, func(hook.Facts) (hook.Admission, error) {
		return hook.Admission{Document: []byte(document)}, nil
	})
	i.mustRefuse(t, "file://web.json", "more than 16777216 bytes")
}

// A start that containerd gives up ends with the wrapper; what it left running
// for the container does not.
func TestTheRealShimEndsWithTheWrapperAndWhatItServesDoesNot(t *testing.T) {
	i := newInstall(t, `{}`)
	cmd := exec.Command(i.wrapper, args("start")...)
	cmd.Dir, cmd.Stdin = i.bundle, strings.NewReader("serve")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(stdout)
	var start, serve report
	if err := errors.Join(lines.Decode(&start), lines.Decode(&serve)); err != nil {
		t.Fatal(err)
	}
	serving, err := os.FindProcess(serve.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer serving.Release() //nolint:errcheck // ended below
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	waitGone(t, start.PID)
	if gone(t, serve.PID) {
		t.Error("what the real shim serves ended with the wrapper")
	}
	if err := serving.Kill(); err != nil {
		t.Error(err)
	}
	waitGone(t, serve.PID)
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !gone(t, pid) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d is still there", pid)
		}
	}
}
