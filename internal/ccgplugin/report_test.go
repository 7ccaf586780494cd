package ccgplugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// events is an event log that keeps what it is given.
type events struct {
	mu      sync.Mutex
	entries []eventlog.Entry
	opened  int
	hold    chan struct{} // if not nil, each write waits for it
	panics  bool
	fails   error
}

func (e *events) open() (eventlog.Writer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opened++
	return e, e.fails
}

func (e *events) Write(severity eventlog.Severity, category uint16, id eventlog.ID, params []string) error {
	if e.hold != nil {
		<-e.hold
	}
	if e.panics {
		panic("a fault")
	}
	if severity != eventlog.Error || eventlog.Categories[category-1].Name != "CCG plugin" {
		return fmt.Errorf("severity %v, category %d", severity, category)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.entries = append(e.entries, eventlog.Entry{ID: id, Params: params})
	return nil
}

func (e *events) Close() error { return nil }

// refusing is an agent that refuses with a code.
func refusing(code wire.Code) Dial {
	return agent(func(conn net.Conn) {
		asked(conn)
		_ = wire.WriteRefusal(conn, code, "because")
	})
}

// canary stands for a password, and must be in no event.
const canary = "canary-9d27-hunter2"

// TestEveryEventOfThePluginIsProduced brings each failure of the table about as
// it comes about in the DLL, and looks at its event.
func TestEveryEventOfThePluginIsProduced(t *testing.T) {
	token := newToken(t)
	redeem := func(dial Dial, input string) (err error) {
		synctest.Test(t, func(t *testing.T) { // an agent that is not there is waited for
			var r wire.Release
			if r, err = Redeem(t.Context(), dial, input); err == nil {
				_, err = Marshal(newHeap(t, 1), &r)
			}
		})
		return err
	}
	failing := func(err error) Dial { return func(context.Context) (net.Conn, error) { return nil, err } }
	releasing := func(password string) Dial {
		return agent(func(conn net.Conn) {
			asked(conn)
			_ = wire.WriteRelease(conn, wire.Release{Domain: "contoso.com", User: "reader", Password: []byte(password)})
		})
	}
	answering := func(frame string) Dial {
		return agent(func(conn net.Conn) {
			asked(conn)
			_, _ = io.WriteString(conn, frame)
		})
	}
	produced := map[HRESULT]error{
		EPointer:      &Error{EPointer, errors.New("the call itself")}, // com.c's own
		EOutOfMemory:  redeem(releasing(canary), token),
		EUnexpected:   fmt.Errorf("a fault of the plugin was caught (%T)", "a panic"),
		ENoInput:      redeem(nil, ""),
		EInputTooLong: redeem(nil, strings.Repeat(canary, wire.MaxToken)),
		ENoAgent:      redeem(failing(os.ErrNotExist), token),
		EPipeDenied:   redeem(failing(fmt.Errorf("%w: the pipe", fault.ErrDenied)), token),
		EUntrusted:    redeem(failing(&channel.UntrustedServerError{}), token),
		ETimeout:      redeem(failing(context.DeadlineExceeded), token),
		ECutOff:       redeem(agent(asked), token),
		EBadAnswer:    redeem(answering("HTTP/1.1 400 Bad Request"), token),
		EReleases:     redeem(answering("GMS\x02\x02\x00\x00\x00\x00"), token),
		EMalformed:    redeem(refusing(wire.CodeMalformed), token),
		EUnknownGrant: redeem(refusing(wire.CodeUnknownGrant), token),
		EDenied:       redeem(refusing(wire.CodeDenied), token),
		EUnavailable:  redeem(refusing(wire.CodeUnavailable), token),
		EUnsupported:  redeem(refusing(wire.CodeUnsupported), token),
		EInternal:     redeem(refusing(wire.CodeInternal), token),
		ENotFound:     redeem(refusing(wire.CodeNotFound), token),
		ERefusedOddly: redeem(refusing(wire.CodeNotFound+1), token),
		EBadCredential: func() error {
			_, err := Marshal(newHeap(t, 0), &wire.Release{Domain: "contoso.com", User: "reader", Password: []byte(canary + "\x00")})
			return err
		}(),
	}
	rows := map[eventlog.ID]eventlog.Event{}
	for _, e := range Events() {
		rows[e.ID] = e
	}
	for _, e := range Table {
		if e.Code == OK {
			continue
		}
		err := produced[e.Code]
		if got := Result(err); got != e.Code {
			t.Errorf("%s: what is to bring it about has the result %s: %v", e.Name, got, err)
			continue
		}
		log := &events{}
		(&Reporter{open: log.open}).Report(err)
		if len(log.entries) != 1 {
			t.Errorf("%s: %d events", e.Name, len(log.entries))
			continue
		}
		got := log.entries[0]
		row, ok := rows[got.ID]
		delete(rows, got.ID)
		if !ok || row.Name != e.Name || !strings.Contains(row.Text, e.Meaning) || row.Remedy != e.Remedy {
			t.Errorf("%s has the event %d: %+v", e.Name, got.ID, row)
		}
		if len(got.Params) != len(row.Params) || !strings.HasPrefix(got.Params[0], e.Name+" (0x") || got.Params[1] == "" {
			t.Errorf("%s: %q", e.Name, got.Params)
		}
		for _, secret := range []string{token, canary, wire.TokenPrefix} {
			if strings.Contains(strings.Join(got.Params, " "), secret) {
				t.Errorf("%s: a secret is in its event: %q", e.Name, got.Params)
			}
		}
	}
	for id := range rows {
		t.Errorf("nothing brings about event %d", id)
	}
}

func TestACallThatSucceedsTouchesNoEventLog(t *testing.T) {
	log := &events{}
	(&Reporter{open: log.open}).Report(nil)
	if log.opened != 0 {
		t.Error("the log was opened")
	}
}

func TestAFailureThatRepeatsIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &events{}
		r := &Reporter{open: log.open}
		for range 100 {
			r.Report(&Error{ENoAgent, errors.New("nobody")})
		}
		r.Report(&Error{EDenied, errors.New("no")})
		if len(log.entries) != mostReports+1 {
			t.Errorf("%d events", len(log.entries))
		}
		time.Sleep(reportInterval)
		r.Report(&Error{ENoAgent, errors.New("nobody")})
		if last := log.entries[len(log.entries)-1]; last.Params[1] != fmt.Sprintf("nobody (and %d more like it before)", 100-mostReports) {
			t.Errorf("got %q", last.Params)
		}
	})
}

func TestALogThatHangsDelaysOneCallAndOnlyForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &events{hold: make(chan struct{})}
		r := &Reporter{open: log.open}
		before := time.Now()
		for range 10 {
			r.Report(&Error{ENoAgent, errors.New("nobody")})
		}
		if waited := time.Since(before); waited != reportPatience {
			t.Errorf("10 failures waited %v", waited)
		}
		close(log.hold)
		synctest.Wait()
		r.Report(&Error{ENoAgent, errors.New("nobody")})
		if len(log.entries) != 2 || !strings.Contains(log.entries[1].Params[1], "9 more") {
			t.Errorf("%v", log.entries)
		}
	})
}

func TestALogThatFailsOrPanicsIsNoConcernOfTheCall(t *testing.T) {
	for _, log := range []*events{{fails: errors.New("the service is down")}, {panics: true}} {
		r := &Reporter{open: log.open}
		r.Report(&Error{ENoAgent, errors.New("nobody")})
		r.Report(&Error{ENoAgent, errors.New("nobody")})
		if len(log.entries) != 0 {
			t.Errorf("%v", log.entries)
		}
	}
}
