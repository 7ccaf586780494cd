package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// strangers is a listener whose callers are who the test says they are.
type strangers struct {
	conns chan net.Conn
	done  chan struct{}
}

type stranger struct {
	net.Conn
	refuse error
}

func (s stranger) Peer() *channel.Peer { return &channel.Peer{PID: 7, Image: "/bin/x", User: "uid:7"} }
func (s stranger) Authorize() error    { return s.refuse }

func (l *strangers) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *strangers) Close() error   { close(l.done); return nil }
func (l *strangers) Addr() net.Addr { return &net.UnixAddr{} }

// served serves a channel of the world's agent and returns how to call it.
func served(t *testing.T, serve func(context.Context, net.Listener) error) (call func(refuse error) net.Conn) {
	t.Helper()
	l := &strangers{conns: make(chan net.Conn), done: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func(refuse error) net.Conn {
		client, server := net.Pipe()
		l.conns <- stranger{server, refuse}
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
}

func TestThePluginChannelReleasesToThePluginHostAlone(t *testing.T) {
	w := newWorld(t)
	token := tokenOf(t, w.admit(facts("c1", "file://webapp01.json")))
	call := served(t, w.ServePlugin)

	c := call(nil)
	if err := wire.WriteRedeem(c, token); err != nil {
		t.Fatal(err)
	}
	got, err := wire.ReadAnswer(c)
	if err != nil || got.Domain != "contoso.com" || got.User != "gmsa-plugin" || string(got.Password) != password {
		t.Errorf("answer %v, %v", got, err)
	}

	c = call(fmt.Errorf("a stranger: %w", fault.ErrDenied))
	if err := wire.WriteRedeem(c, token); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.ReadAnswer(c); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("a stranger got %v", err)
	}
	refused := w.records(audit.RedeemRefused)
	want := &audit.Peer{PID: 7, Image: "/bin/x", User: "uid:7"}
	if len(refused) != 1 || cmp.Diff(want, refused[0].Peer) != "" {
		t.Errorf("records: %v", refused)
	}
}

func TestThePluginChannelAnswersBadCallsInWordsAndGoesOn(t *testing.T) {
	w := newWorld(t)
	call := served(t, w.ServePlugin)
	unknown, err := wire.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	redeem := func(token string) func(io.Writer) error {
		return func(c io.Writer) error { return wire.WriteRedeem(c, token) }
	}
	tests := map[string]struct {
		send func(io.Writer) error
		want wire.Code
	}{
		"a token of no grant": {redeem(unknown), wire.CodeUnknownGrant},
		"no token":            {redeem("ObjectId=x;SecretUri=y"), wire.CodeMalformed},
		"garbage":             {func(c io.Writer) error { _, err := c.Write([]byte("GET / HTTP/1.1\r\n")); return err }, wire.CodeMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := call(nil)
			// What is sent may be cut off as soon as it is seen to be wrong.
			go func() { _ = tt.send(c) }()
			_, err := wire.ReadAnswer(c)
			if r, ok := errors.AsType[*wire.Refusal](err); !ok || r.Code != tt.want {
				t.Errorf("answer %v, want %v", err, tt.want)
			}
		})
	}
	if got := w.records(audit.RedeemRefused); len(got) != len(tests) {
		t.Errorf("%d records of %d refusals", len(got), len(tests))
	}
}

func TestTheControlChannelAdmits(t *testing.T) {
	w := newWorld(t)
	var asked []hook.Key
	call := served(t, func(ctx context.Context, l net.Listener) error {
		return w.ServeControl(ctx, l, func(k hook.Key) { asked = append(asked, k) })
	})
	f := facts("c1", "file://webapp01.json")
	var got hook.Admission
	if err := control.Call(t.Context(), call(nil), VerbAdmit, f, &got); err != nil {
		t.Fatal(err)
	}
	w.mustRedeem(tokenOf(t, got))
	if diff := cmp.Diff([]hook.Key{f.Key}, asked); diff != "" {
		t.Error(diff)
	}
	err := control.Call(t.Context(), call(nil), VerbAdmit, facts("c2", "file://missing.json"), &got)
	if !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "file://missing.json") {
		t.Errorf("a missing file: %v", err)
	}
	var list []Container
	if err := control.Call(t.Context(), call(nil), VerbContainers, nil, &list); err != nil || len(list) != 2 {
		t.Errorf("containers: %v, %v", list, err)
	}
	if err := control.Call(t.Context(), call(nil), VerbContainer, "c2", &list); err != nil || len(list) != 1 || list[0].Decision != Refused {
		t.Errorf("container: %v, %v", list, err)
	}
	var status Status
	if err := control.Call(t.Context(), call(nil), VerbStatus, nil, &status); err != nil || status.Grants != 1 {
		t.Errorf("status: %v, %v", status, err)
	}
}

func TestTheControlChannelRefusesStrangersUnknownVerbsAndBadBodies(t *testing.T) {
	w := newWorld(t)
	call := served(t, func(ctx context.Context, l net.Listener) error { return w.ServeControl(ctx, l, func(hook.Key) {}) })
	if err := control.Call(t.Context(), call(fmt.Errorf("a stranger: %w", fault.ErrDenied)), VerbStatus, nil, nil); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("a stranger got %v", err)
	}
	if got := w.records(audit.ControlRefused); len(got) != 1 {
		t.Errorf("records: %v", got)
	}
	tests := map[string]struct {
		verb string
		body any
		want error
	}{
		"an unknown verb":         {"format", nil, errors.ErrUnsupported},
		"facts without an id":     {VerbAdmit, hook.Facts{}, fault.ErrMalformed},
		"facts of another kind":   {VerbAdmit, "c1", fault.ErrMalformed},
		"facts with other fields": {VerbAdmit, json.RawMessage(`{"runtime":"x","id":"y","password":"z"}`), fault.ErrMalformed},
		"an id of another kind":   {VerbContainer, 5, fault.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := control.Call(t.Context(), call(nil), tt.verb, tt.body, nil); !errors.Is(err, tt.want) {
				t.Errorf("answer %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAListenerThatDoesNotSayWhoIsCallingIsNotServed(t *testing.T) {
	w := newWorld(t)
	client, server := net.Pipe()
	defer client.Close() //nolint:errcheck // the test is over
	l := &strangers{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conns <- server
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.ServePlugin(ctx, l); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("served: %v", err)
	}
}
