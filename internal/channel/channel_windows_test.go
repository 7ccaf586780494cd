package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

var endpoints atomic.Int32

func testEndpoint(_ *testing.T, a Audience) string {
	return fmt.Sprintf(`%sProtectedPrefix\Administrators\gmsa-agent-test\%d-%d-%s`, pipePrefix, os.Getpid(), endpoints.Add(1), a)
}

func isWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

// listening is to be called after a pipe was created. Wine lets the first
// client connect to the instance that go-winio only holds the name with, where
// it would wait for ever; one that is not waited for takes that place.
func listening(t *testing.T, endpoint string) {
	if !isWine() {
		return
	}
	t.Helper()
	plug, err := winio.DialPipe(endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plug.Close() })
}

func ownUser() string {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		panic(err)
	}
	return user.User.Sid.String()
}

func TestThePipeCarriesItsAccessList(t *testing.T) {
	for _, a := range []Audience{Control, Plugin} {
		l, endpoint := listenFor(t, a, everybody())
		client, _ := pair(t, l, endpoint)
		pipe, err := handleOf(client)
		if err != nil {
			t.Fatal(err)
		}
		sd, err := windows.GetSecurityInfo(pipe, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			t.Fatal(err)
		}
		// Wine drops the P flag when it stores a list.
		got := strings.Replace(sd.String(), "D:P(", "D:(", 1)
		want := strings.NewReplacer("D:P(", "D:(", "G:BA", "").Replace(sddl(a))
		if got != want {
			t.Errorf("%s: got %s, want %s", a, got, want)
		}
	}
}

func TestACallerWhoHidesItsIdentityIsNotAuthorized(t *testing.T) {
	if isWine() {
		t.Skip("Wine shows the server a client of anonymous level all the same")
	}
	l, endpoint := listenFor(t, Plugin, everybody())
	accepted := make(chan *Conn, 1)
	go func() {
		c, err := l.AcceptConn()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err := winio.DialPipe(endpoint, nil) // at anonymous level
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server := <-accepted
	defer server.Close()
	if err := server.Authorize(); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("got %v", err)
	}
}

func TestByDefaultOnlyTheSystemsPluginHostIsServed(t *testing.T) {
	system, err := windows.GetSystemDirectory()
	if err != nil {
		t.Fatal(err)
	}
	allow := DefaultAllow(Plugin)
	good := Peer{Image: system + `\DLLHOST.exe`, User: "S-1-5-80-1", Groups: []string{sidService}}
	if err := allow.Check(&good); err != nil {
		t.Error(err)
	}
	for name, p := range map[string]*Peer{
		"an administrator":   {Image: system + `\dllhost.exe`, User: "S-1-5-21-1-2-3-500", Groups: []string{sidAdministrators}},
		"another program":    {Image: system + `\svchost.exe`, User: sidSystem},
		"another dllhost":    {Image: `C:\temp\dllhost.exe`, User: sidSystem},
		"an unknown program": {User: sidSystem},
	} {
		if err := allow.Check(p); err == nil {
			t.Errorf("%s is allowed", name)
		}
	}
}

func TestThePluginGivesUpAtItsDeadlineAndMayGoOn(t *testing.T) {
	l, endpoint := listenFor(t, Plugin, everybody())
	client, server := pair(t, l, endpoint)
	if err := client.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 16)
	if n, err := client.Read(answer); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d bytes, %v", n, err)
	}
	if _, err := client.Write([]byte("late")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write after the deadline: got %v", err)
	}
	if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	// Nothing of what was given up takes the answer away.
	if n, err := client.Read(answer); string(answer[:n]) != "answer" || err != nil {
		t.Errorf("got %q, %v", answer[:n], err)
	}
	server.Close()
	if n, err := client.Read(answer); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the server's end: got %d bytes, %v", n, err)
	}
	client.Close()
	if _, err := client.Read(answer); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after closing: got %v", err)
	}
	if err := client.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing twice: got %v", err)
	}
}

func TestThePluginWaitsForRoomUntilItsContextEnds(t *testing.T) {
	_, endpoint := listenFor(t, Plugin, everybody()) // which accepts nobody
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, Plugin, endpoint); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
