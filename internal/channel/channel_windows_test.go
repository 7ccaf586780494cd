package channel

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

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
