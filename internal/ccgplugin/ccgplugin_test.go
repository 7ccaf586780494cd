package ccgplugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// agent answers one redemption with what answer writes.
func agent(answer func(net.Conn)) Dial {
	return func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			answer(server)
		}()
		return client, nil
	}
}

func asked(conn net.Conn) { _, _ = wire.ReadRedeem(conn) }

func newToken(t *testing.T) string {
	t.Helper()
	token, err := wire.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestRedeemBringsTheAgentsRelease(t *testing.T) {
	token := newToken(t)
	want := wire.Release{Domain: "contoso.com", User: "reader", Password: []byte("pä$$")}
	got, err := Redeem(t.Context(), agent(func(conn net.Conn) {
		if asked, err := wire.ReadRedeem(conn); err != nil || asked != token {
			t.Errorf("the agent is asked for %q, %v", asked, err)
		}
		_ = wire.WriteRelease(conn, want)
	}), token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryRefusalHasItsResult(t *testing.T) {
	seen := map[HRESULT]wire.Code{}
	for code := wire.CodeMalformed; code <= wire.CodeNotFound+1; code++ {
		_, err := Redeem(t.Context(), agent(func(conn net.Conn) {
			asked(conn)
			_ = wire.WriteRefusal(conn, code, "no")
		}), newToken(t))
		result := Result(err)
		if code > wire.CodeNotFound {
			if result != ERefusedOddly {
				t.Errorf("a code of a later release: %s", result)
			}
			continue
		}
		if result == ERefusedOddly || result == OK {
			t.Errorf("%s: %s", code, result)
		}
		if other, ok := seen[result]; ok {
			t.Errorf("%s and %s are both %s", code, other, result)
		}
		seen[result] = code
	}
}

func TestEveryFailureOfTheWayHasItsResult(t *testing.T) {
	refuseToDial := func(err error) Dial {
		return func(context.Context) (net.Conn, error) { return nil, fmt.Errorf("pipe: %w", err) }
	}
	for name, tc := range map[string]struct {
		dial Dial
		want HRESULT
	}{
		"nobody serves":      {refuseToDial(fault.ErrUnavailable), ENoAgent},
		"not allowed":        {refuseToDial(fault.ErrDenied), EPipeDenied},
		"somebody else":      {refuseToDial(&channel.UntrustedServerError{Endpoint: "x", Reason: "y"}), EUntrusted},
		"no room in time":    {refuseToDial(context.DeadlineExceeded), ETimeout},
		"cut off unasked":    {agent(func(net.Conn) {}), ECutOff},
		"cut off unanswered": {agent(asked), ECutOff},
		"cut off within": {agent(func(conn net.Conn) {
			asked(conn)
			_, _ = io.WriteString(conn, "GMS\x01\x02\x00\x00")
		}), ECutOff},
		"not a frame": {agent(func(conn net.Conn) {
			asked(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request")
		}), EBadAnswer},
		"a huge frame": {agent(func(conn net.Conn) {
			asked(conn)
			_, _ = io.WriteString(conn, "GMS\x01\x02\xff\xff\xff\xff")
		}), EBadAnswer},
		"an empty password": {agent(func(conn net.Conn) {
			asked(conn)
			_, _ = io.WriteString(conn, "GMS\x01\x02\x00\x00\x00\x08\x00\x01d\x00\x01u\x00\x00")
		}), EBadAnswer},
		"another version": {agent(func(conn net.Conn) {
			asked(conn)
			_, _ = io.WriteString(conn, "GMS\x02\x02\x00\x00\x00\x00")
		}), EReleases},
		"a refusal before the question": {func(context.Context) (net.Conn, error) {
			c := &closedByAgent{}
			return c, wire.WriteRefusal(&c.answer, wire.CodeDenied, "you are nobody")
		}, EDenied},
		"closed before the question": {func(context.Context) (net.Conn, error) { return &closedByAgent{}, nil }, ECutOff},
	} {
		synctest.Test(t, func(t *testing.T) { // an agent that is not there is waited for
			release, err := Redeem(t.Context(), tc.dial, newToken(t))
			if Result(err) != tc.want || release.Password != nil {
				t.Errorf("%s: got %v, want %s", name, err, tc.want)
			}
		})
	}
}

func TestAnAgentThatIsRestartedIsWaitedFor(t *testing.T) {
	gone := func(context.Context) (net.Conn, error) { return nil, fault.ErrUnavailable }
	answers := agent(func(conn net.Conn) {
		asked(conn)
		_ = wire.WriteRefusal(conn, wire.CodeDenied, "it answers")
	})
	for name, way := range map[string][]Dial{
		"it is not there yet": {gone, gone, gone, answers},
		"it ends meanwhile":   {agent(asked), gone, answers},
	} {
		synctest.Test(t, func(t *testing.T) {
			attempt := 0
			_, err := Redeem(t.Context(), func(ctx context.Context) (net.Conn, error) {
				attempt++
				return way[attempt-1](ctx)
			}, newToken(t))
			if Result(err) != EDenied || attempt != len(way) {
				t.Errorf("%s: %v after %d attempts", name, err, attempt)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := Redeem(t.Context(), gone, newToken(t))
		if took := time.Since(began); Result(err) != ENoAgent || took < restartPatience || took > wire.RedeemTimeout {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// closedByAgent is a connection that the agent closed after it wrote its answer.
type closedByAgent struct {
	net.Conn
	answer bytes.Buffer
}

func (c *closedByAgent) Read(b []byte) (int, error) { return c.answer.Read(b) }
func (*closedByAgent) Write([]byte) (int, error)    { return 0, io.ErrClosedPipe }
func (*closedByAgent) SetDeadline(time.Time) error  { return nil }
func (*closedByAgent) Close() error                 { return nil }

func TestAnInputIsJudgedByItsLengthAlone(t *testing.T) {
	never := func(context.Context) (net.Conn, error) {
		t.Error("the agent was dialled")
		return nil, fault.ErrUnavailable
	}
	for input, want := range map[string]HRESULT{"": ENoInput, strings.Repeat("x", wire.MaxToken+1): EInputTooLong} {
		if _, err := Redeem(t.Context(), never, input); Result(err) != want {
			t.Errorf("%.10q: got %v, want %s", input, err, want)
		}
	}
	for _, input := range []string{"cattle-system:contoso", strings.Repeat("x", wire.MaxToken)} {
		_, err := Redeem(t.Context(), agent(func(conn net.Conn) {
			if _, err := wire.ReadRedeem(conn); err != nil {
				_ = wire.WriteRefusal(conn, wire.CodeOf(err), err.Error())
			}
		}), input)
		if Result(err) != EMalformed {
			t.Errorf("%.10q: got %v", input, err)
		}
	}
}

func TestAnAgentThatHangsIsGivenUp(t *testing.T) {
	token := newToken(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := Redeem(t.Context(), agent(func(conn net.Conn) {
			asked(conn)
			_, _ = io.Copy(io.Discard, conn)
		}), token)
		if Result(err) != ETimeout || time.Since(start) != wire.RedeemTimeout {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestADialThatHangsIsGivenUp(t *testing.T) {
	token := newToken(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := Redeem(t.Context(), func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("%w: %w", fault.ErrUnavailable, ctx.Err())
		}, token)
		if Result(err) != ETimeout || time.Since(start) != wire.RedeemTimeout {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestNoErrorRepeatsTheInput(t *testing.T) {
	token := newToken(t)
	for _, dial := range []Dial{
		func(context.Context) (net.Conn, error) { return nil, fault.ErrUnavailable },
		agent(func(net.Conn) {}),
		agent(func(conn net.Conn) { asked(conn); _, _ = conn.Write(make([]byte, 32)) }),
	} {
		synctest.Test(t, func(t *testing.T) { // an agent that is not there is waited for
			if _, err := Redeem(t.Context(), dial, token); err == nil || strings.Contains(err.Error(), token[6:]) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheTableIsWhole(t *testing.T) {
	codes, names := map[HRESULT]bool{}, map[string]bool{}
	for _, e := range Table {
		if codes[e.Code] || names[e.Name] || e.Meaning == "" || e.Remedy == "" {
			t.Errorf("%s stands twice or is not explained", e.Code)
		}
		codes[e.Code], names[e.Name] = true, true
		if got, ok := e.Code.Explain(); !ok || got != e {
			t.Errorf("%s is explained as %v", e.Code, got)
		}
		if e.Code != OK && e.Code>>31 != 1 {
			t.Errorf("%s is not a failure", e.Code)
		}
	}
	for code, result := range refusals {
		if !codes[result] {
			t.Errorf("%s: %s is not in the table", code, result)
		}
	}
}

func TestTheHeaderAndTheDocumentHaveTheTable(t *testing.T) {
	header, err := os.ReadFile("../../cmd/ccg-plugin/hresult.h")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/ccg-plugin.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range Table {
		row := fmt.Sprintf("| `0x%08X` | `%s` | %s | %s |\n", uint32(e.Code), e.Name, e.Meaning, e.Remedy)
		if !strings.Contains(string(doc), row) {
			t.Errorf("docs/ccg-plugin.md lacks the row\n%s", row)
		}
		if e.Code>>29 == 5 { // ours; the others are in Windows' own headers
			define := fmt.Sprintf("#define %s ((HRESULT)0x%08XL)\n", e.Name, uint32(e.Code))
			if !strings.Contains(string(header), define) {
				t.Errorf("cmd/ccg-plugin/hresult.h lacks the line\n%s", define)
			}
		}
	}
	own, _, _ := strings.Cut(string(doc), "Where COM itself fails") // those are package activation's
	if rows, defines := strings.Count(own, "\n| `0x"), len(regexp.MustCompile(`(?m)^#define GMSA_E_`).FindAll(header, -1)); rows != len(Table) || defines != len(Table)-4 {
		t.Errorf("%d rows and %d definitions for %d results", rows, defines, len(Table))
	}
}

func TestTheCSideBoundsTheInputAlike(t *testing.T) {
	edge, err := os.ReadFile("../../cmd/ccg-plugin/edge.h")
	if err != nil {
		t.Fatal(err)
	}
	if define := fmt.Sprintf("#define EDGE_MAX_INPUT %d\n", MaxInput); !strings.Contains(string(edge), define) {
		t.Errorf("cmd/ccg-plugin/edge.h lacks the line %s", define)
	}
}

func TestAResultIsOKOnlyForNoError(t *testing.T) {
	if Result(nil) != OK || Result(errors.New("x")) != EUnexpected || Result(fmt.Errorf("x: %w", &Error{EDenied, fault.ErrDenied})) != EDenied {
		t.Error("wrong")
	}
}
