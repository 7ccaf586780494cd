package channel

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func testEndpoint(t *testing.T, a Audience) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "gmsa") // short: t.TempDir may not fit a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return filepath.Join(folder, a.String()+".sock")
}

func listening(*testing.T, string) {}

func ownUser() string { return uid(os.Geteuid()) }

func isWine() bool { return false }

func TestOnlyTheOwnerMayConnectToTheSocket(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, a := range []Audience{Control, Plugin} {
		endpoint := filepath.Join(filepath.Dir(testEndpoint(t, a)), "made", "s")
		l, err := Listen(a, endpoint, everybody())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for path, want := range map[string]os.FileMode{
			endpoint:               os.ModeSocket | 0o600,
			filepath.Dir(endpoint): os.ModeDir | 0o700,
		} {
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != want {
				t.Errorf("%s: %s has mode %v, want %v", a, path, info.Mode(), want)
			}
		}
	}
}

func TestTheSocketOfADeadAgentIsReplaced(t *testing.T) {
	endpoint := testEndpoint(t, Control)
	// What a killed agent leaves: a socket that nobody serves, the lock's
	// file, and a stage that was never moved.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	stage := filepath.Join(filepath.Dir(endpoint), "."+filepath.Base(endpoint)+".123")
	if err := errors.Join(os.WriteFile(endpoint+".lock", nil, 0o600), os.Mkdir(stage, 0o700)); err != nil {
		t.Fatal(err)
	}

	l, err := Listen(Control, endpoint, everybody())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := Dial(t.Context(), Control, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	if _, err := os.Lstat(stage); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead agent's stage: %v", err)
	}
}

func TestClosingLeavesNoSocket(t *testing.T) {
	endpoint := testEndpoint(t, Control)
	l, err := Listen(Control, endpoint, everybody())
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr().String() != endpoint {
		t.Errorf("it listens at %s, want %s", l.Addr(), endpoint)
	}
	l.Close()
	left, err := filepath.Glob(filepath.Join(filepath.Dir(endpoint), "*"))
	if err != nil || len(left) != 1 || left[0] != endpoint+".lock" {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestAFileThatIsNoSocketIsLeftAlone(t *testing.T) {
	endpoint := testEndpoint(t, Control)
	if err := os.WriteFile(endpoint, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Control, endpoint, everybody()); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(endpoint); string(b) != "precious" {
		t.Errorf("the file holds %q, %v", b, err)
	}
}

func TestAFolderThatOthersMayWriteToIsRefused(t *testing.T) {
	endpoint := testEndpoint(t, Control)
	if err := os.Chmod(filepath.Dir(endpoint), 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := Listen(Control, endpoint, everybody())
	if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "others") {
		t.Errorf("got %v", err)
	}
}

func TestAServerOfAnotherUserIsNotTrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making another user's socket takes root")
	}
	// SO_PEERCRED of the server is that of the thread which listened.
	endpoint := testEndpoint(t, Control)
	if err := os.Chmod(filepath.Dir(endpoint), 0o777); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	listeners := make(chan net.Listener)
	go func() {
		// The thread is not given back: it ends, with its user, with this goroutine.
		lockThreadAs(nobody)
		l, err := net.Listen("unix", endpoint)
		if err != nil {
			t.Error(err)
		}
		listeners <- l
	}()
	l := <-listeners
	if l == nil {
		t.FailNow()
	}
	defer l.Close()
	_, err := Dial(context.Background(), Control, endpoint)
	untrusted, ok := errors.AsType[*UntrustedServerError](err)
	if !ok || !errors.Is(err, fault.ErrDenied) || !strings.Contains(untrusted.Reason, "uid:65534") {
		t.Errorf("got %v", err)
	}
}

func TestByDefaultRootAndTheOwnUserAreServed(t *testing.T) {
	for _, a := range []Audience{Control, Plugin} {
		for _, user := range []string{"uid:0", ownUser()} {
			if err := DefaultAllow(a).Check(&Peer{User: user}); err != nil {
				t.Errorf("%s: %v", a, err)
			}
		}
		if err := DefaultAllow(a).Check(&Peer{User: "uid:4711"}); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("%s: another user: got %v", a, err)
		}
	}
}
