package channel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// patience bounds what must happen at all; no test measures by it.
const patience = 20 * time.Second

// A copy of the test program is the caller that comes from another process.
const envEndpoint = "GMSA_AGENT_TEST_DIAL"

func TestMain(m *testing.M) {
	if endpoint := os.Getenv(envEndpoint); endpoint != "" {
		os.Exit(call(endpoint))
	}
	os.Exit(m.Run())
}

// call connects, says so, and stays until its standard input ends.
func call(endpoint string) int {
	conn, err := Dial(context.Background(), Plugin, endpoint)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer conn.Close()
	fmt.Println("connected")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func listenFor(t *testing.T, a Audience, allow Allow) (*Listener, string) {
	t.Helper()
	endpoint := testEndpoint(t, a)
	l, err := Listen(a, endpoint, allow)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	listening(t, endpoint)
	return l, endpoint
}

func pair(t *testing.T, l *Listener, endpoint string) (client net.Conn, server *Conn) {
	t.Helper()
	accepted := make(chan *Conn, 1)
	go func() {
		c, err := l.AcceptConn()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := Dial(ctx, Plugin, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server = <-accepted; server == nil {
		t.FailNow()
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

func everybody() Allow { return Allow{Users: []string{ownUser()}} }

func TestBothEndsHearEachOther(t *testing.T) {
	for _, a := range []Audience{Control, Plugin} {
		t.Run(a.String(), func(t *testing.T) {
			l, endpoint := listenFor(t, a, everybody())
			client, server := pair(t, l, endpoint)
			go func() {
				_, _ = io.Copy(server, server)
				server.Close()
			}()
			if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(client, "hello\n"); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(client).ReadString('\n'); line != "hello\n" {
				t.Errorf("got %q, %v", line, err)
			}
		})
	}
}

func TestWhatWasWrittenBeforeTheServerClosedIsStillRead(t *testing.T) {
	l, endpoint := listenFor(t, Plugin, everybody())
	client, server := pair(t, l, endpoint)
	if _, err := io.WriteString(server, "answer"); err != nil {
		t.Fatal(err)
	}
	server.Close()
	got, err := io.ReadAll(client)
	if string(got) != "answer" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestThePeerIsWhoConnected(t *testing.T) {
	l, endpoint := listenFor(t, Plugin, everybody())
	_, server := pair(t, l, endpoint)
	p := server.Peer()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p.PID != os.Getpid() || p.User != ownUser() || !sameImage(p.Image, self) || !p.Alive() {
		t.Errorf("got %s, alive=%t; want process %d (%s) of %s, alive", p, p.Alive(), os.Getpid(), self, ownUser())
	}
	if err := server.Authorize(); err != nil {
		t.Error(err)
	}
	server.Close()
	if p.Alive() {
		t.Error("the peer counts as alive after its connection was closed")
	}
}

func TestAPeerThatEndedIsNotAuthorized(t *testing.T) {
	l, endpoint := listenFor(t, Plugin, everybody())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envEndpoint+"="+endpoint)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	server, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	if strings.TrimSpace(line) != "connected" {
		t.Fatalf("the caller says %q", line)
	}
	if err := server.Authorize(); err != nil {
		t.Errorf("while it lives: %v", err)
	}
	if !isWine() && server.Peer().PID != cmd.Process.Pid {
		t.Errorf("got process %d, want %d", server.Peer().PID, cmd.Process.Pid)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	err = server.Authorize()
	if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("after its end: got %v", err)
	}
}

func TestACallerThatIsNotAllowedIsHandedOverAndNotAuthorized(t *testing.T) {
	l, endpoint := listenFor(t, Plugin, Allow{Users: []string{ownUser()}, Images: []string{"/no/such/program"}})
	_, server := pair(t, l, endpoint)
	err := server.Authorize()
	if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("got %v", err)
	}
}

func TestNobodyServing(t *testing.T) {
	_, err := Dial(t.Context(), Control, testEndpoint(t, Control))
	if !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAnEndpointOfTheWrongFormIsMalformed(t *testing.T) {
	for _, endpoint := range []string{"control", "tcp://127.0.0.1:1", `\\server\pipe\x`, `\\.\pipe\`, "./x", "/" + strings.Repeat("x", 300)} {
		if _, err := Dial(t.Context(), Control, endpoint); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("dial %.20q: got %v", endpoint, err)
		}
		if l, err := Listen(Control, endpoint, Allow{}); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("listen %.20q: got %v, %v", endpoint, l, err)
		}
	}
}

func TestASecondAgentIsToldThatOneIsThere(t *testing.T) {
	_, endpoint := listenFor(t, Control, everybody())
	if _, err := Listen(Control, endpoint, everybody()); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("got %v", err)
	}
}

func TestAnEndpointCanBeServedAgain(t *testing.T) {
	endpoint := testEndpoint(t, Control)
	for range 3 {
		l, err := Listen(Control, endpoint, everybody())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	}
}

func TestCloseEndsAccept(t *testing.T) {
	l, _ := listenFor(t, Plugin, everybody())
	errs := make(chan error)
	go func() {
		_, err := l.Accept()
		errs <- err
	}()
	l.Close()
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsAnAcceptThatWaitsForRoom(t *testing.T) {
	l, _ := listenFor(t, Plugin, everybody())
	for range MaxConns {
		l.slots <- struct{}{}
	}
	errs := make(chan error)
	go func() {
		_, err := l.Accept()
		errs <- err
	}()
	l.Close()
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestAClosedConnectionMakesRoomForTheNext(t *testing.T) {
	l, endpoint := listenFor(t, Plugin, everybody())
	for range MaxConns - 1 {
		l.slots <- struct{}{}
	}
	for range 3 {
		client, server := pair(t, l, endpoint)
		client.Close()
		server.Close()
		server.Close()
	}
	if len(l.slots) != MaxConns-1 {
		t.Errorf("%d connections count as open, want %d", len(l.slots), MaxConns-1)
	}
}

func TestManyCallersAtOnce(t *testing.T) {
	l, endpoint := listenFor(t, Plugin, everybody())
	go func() {
		for {
			c, err := l.AcceptConn()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if err := c.Authorize(); err != nil {
					t.Error(err)
				}
				_, _ = io.CopyN(c, c, 4)
			}()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var callers sync.WaitGroup
	for i := range 2 * MaxConns {
		callers.Go(func() {
			c, err := Dial(ctx, Plugin, endpoint)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			want := fmt.Sprintf("%04d", i)
			if _, err := io.WriteString(c, want); err != nil {
				t.Error(err)
			}
			got, err := io.ReadAll(c)
			if string(got) != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
	callers.Wait()
}
