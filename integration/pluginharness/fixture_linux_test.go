package pluginharness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab/proxystub"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// patience bounds one program of a test. The longest waits for the plugin's
// own timeout; the rest is a slow machine's.
const patience = wire.RedeemTimeout + 2*time.Minute

// pipe is where the plugin finds the agent; it is channel.DefaultEndpoint on
// Windows, which cannot be asked from here.
const pipe = `\\.\pipe\ProtectedPrefix\Administrators\gmsa-agent\plugin`

// binaries are built once for all tests.
type binaries struct{ dir, dll, harness, server, lockkey string }

var build = sync.OnceValues(func() (b binaries, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if b.dir, err = os.MkdirTemp("", "pluginharness-"); err != nil {
		return b, err
	}
	in := func(name string) string { return filepath.Join(b.dir, name) }
	b.dll, b.harness, b.server, b.lockkey = in("ccg-plugin.dll"), in("harness.exe"), in("server.exe"), in("lockkey.exe")
	return b, errors.Join(
		winelab.BuildDLL(ctx, "./cmd/ccg-plugin", b.dll),
		Build(ctx, b.harness),
		winelab.Build(ctx, "./integration/pluginharness/server", b.server),
		winelab.Build(ctx, "./integration/pluginharness/lockkey", b.lockkey),
	)
})

func TestMain(m *testing.M) {
	code := m.Run()
	stopShared()
	if b, err := build(); err == nil || b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
	os.Exit(code)
}

// host is a lab with the plugin registered in it.
type host struct {
	*winelab.Lab
	binaries
}

// newHost starts a host for the test alone, or skips the test.
func newHost(t testing.TB) *host {
	t.Helper()
	needLab(t)
	h, err := startHost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func needLab(t testing.TB) {
	t.Helper()
	if err := winelab.Ready(); err != nil {
		t.Skip(err)
	}
}

func startHost(ctx context.Context) (*host, error) {
	b, err := build()
	if err != nil {
		return nil, err
	}
	l, err := winelab.Start(ctx, winelab.Options{})
	if err != nil {
		return nil, err
	}
	if err := l.RegisterDLL(ctx, b.dll); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return &host{l, b}, nil
}

// serve starts the server in one of its modes and waits until it can be called.
func (h *host) serve(ctx context.Context, mode string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := h.StartProcess(winelab.Program{Exe: h.server, Args: []string{mode}, Log: "server.log"}); err != nil {
		return err
	}
	_, err := h.Plug(ctx, pipe)
	return err
}

// The shared host serves every test that only calls.
var shared struct {
	once sync.Once
	host *host
	err  error
}

func sharedHost(t testing.TB) *host {
	t.Helper()
	needLab(t)
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if shared.host, shared.err = startHost(ctx); shared.err != nil {
			return
		}
		shared.err = errors.Join(shared.host.serve(ctx, "serve"), proxystub.Install(ctx, shared.host.Lab))
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.host
}

func stopShared() {
	if shared.host != nil {
		if err := shared.host.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// answer is what the harness printed, by name.
type answer map[string]string

// run runs the harness. It must be able to do what it is asked.
func (h *host) run(t testing.TB, args ...string) answer {
	t.Helper()
	return h.runWith(t, nil, args...)
}

// runWith is run with a standard input, for what is not to be an argument.
func (h *host) runWith(t testing.TB, stdin io.Reader, args ...string) answer {
	t.Helper()
	return h.runFor(t, patience, stdin, args...)
}

// runFor is runWith for what takes longer.
func (h *host) runFor(t testing.TB, patience time.Duration, stdin io.Reader, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := h.Command(ctx, h.harness, args...)
	// A file, because the plugin host keeps a pipe open for as long as it lives.
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close() //nolint:errcheck // only the harness writes to it
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, output, output
	failed := cmd.Run()
	out, err := os.ReadFile(output.Name())
	if err := errors.Join(failed, err); err != nil {
		t.Fatalf("harness %.100q: %v: %s", args, err, out)
	}
	a := answer{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		name, value, _ := strings.Cut(strings.TrimRight(lines.Text(), "\r"), " ")
		a[name] = value
	}
	return a
}

// wantRefusal checks a result and that no string came with it.
func (a answer) wantRefusal(t testing.TB, want ccgplugin.HRESULT) {
	t.Helper()
	if got := a["result"]; got != result(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, name := range []string{"domain", "user", "password"} {
		if a[name] != "NULL" {
			t.Errorf("%s is %q, want NULL", name, a[name])
		}
	}
}

func result(h ccgplugin.HRESULT) string { return fmt.Sprintf("0x%08X", uint32(h)) }

// serverSays waits until the server's log holds a text.
func (h *host) serverSays(t testing.TB, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := lab.WaitFor(ctx, "the server to say "+text, func(context.Context) error {
		log, err := os.ReadFile(h.LogPath("server.log"))
		if err == nil && !bytes.Contains(log, []byte(text)) {
			err = fmt.Errorf("it says %s", log)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
