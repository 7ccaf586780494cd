package ccgplugin

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// MaxInput bounds the PluginInput, in UTF-16 units. A UTF-16 unit is a byte of
// UTF-8 or more, so what is longer would not fit the frame either.
const MaxInput = wire.MaxToken

// Error is a failure with its result.
type Error struct {
	Result HRESULT
	Err    error
}

func (e *Error) Error() string { return e.Result.String() + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Result is the result for an error: OK for nil, an [*Error]'s own, else
// EUnexpected.
func Result(err error) HRESULT {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Result
	}
	return EUnexpected
}

// Dial opens the plugin channel.
type Dial func(context.Context) (net.Conn, error)

// DialAgent is the Dial of the DLL: the default endpoint, and no other.
func DialAgent(ctx context.Context) (net.Conn, error) {
	return channel.Dial(ctx, channel.Plugin, "")
}

// Redeem exchanges a PluginInput for credentials, within
// [wire.RedeemTimeout]. It judges the input by its length alone: whether it is
// a grant is the agent's to say and to audit. An agent that is restarted is waited
// for. The error is an [*Error]. The password is the caller's to wipe.
func Redeem(ctx context.Context, dial Dial, input string) (wire.Release, error) {
	switch {
	case input == "":
		return wire.Release{}, &Error{ENoInput, errors.New("the plugin input is empty")}
	case len(input) > wire.MaxToken:
		return wire.Release{}, &Error{EInputTooLong, errors.New("the plugin input is too long for a grant")}
	}
	ctx, cancel := context.WithTimeout(ctx, wire.RedeemTimeout)
	defer cancel()
	patience := time.Now().Add(restartPatience)
	for cutOff := false; ; {
		release, err := redeemOnce(ctx, dial, input)
		switch result := Result(err); {
		case result == ECutOff && !cutOff:
			// Once, and at once: who is there and cuts off twice is not ending.
			cutOff = true
			continue
		case result != ENoAgent || time.Now().After(patience):
			return release, err
		}
		select {
		case <-ctx.Done():
			return release, err
		case <-time.After(askAgain):
		}
	}
}

const (
	// restartPatience is how long an agent that is not there is waited for: one
	// that is upgraded, or has crashed, is there again within half a second on a
	// host at rest. What [wire.RedeemTimeout] has beyond the agent's own time.
	restartPatience = wire.RedeemTimeout - wire.AnswerTimeout
	// askAgain is between two attempts.
	askAgain = 50 * time.Millisecond
)

// redeemOnce makes one attempt.
func redeemOnce(ctx context.Context, dial Dial, input string) (wire.Release, error) {
	conn, err := dial(ctx)
	if err != nil {
		return wire.Release{}, &Error{dialResult(err), err}
	}
	defer conn.Close() //nolint:errcheck // the answer is read
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return wire.Release{}, &Error{ECutOff, err}
		}
	}
	release, err := ask(conn, input)
	if err != nil {
		return wire.Release{}, &Error{askResult(err), err}
	}
	return release, nil
}

// ask makes the exchange. An agent that refuses the caller may answer and
// close before it was asked, so a failed question does not rule out an answer.
func ask(conn net.Conn, input string) (wire.Release, error) {
	asked := wire.WriteRedeem(conn, input)
	if asked != nil && !errors.Is(asked, fault.ErrUnavailable) {
		return wire.Release{}, asked
	}
	release, err := wire.ReadAnswer(conn)
	if err != nil && asked != nil && !isA[*wire.Refusal](err) {
		return wire.Release{}, asked
	}
	return release, err
}
