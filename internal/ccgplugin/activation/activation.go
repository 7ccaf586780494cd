// Package activation calls the CCG plugin as Container Credential Guard does:
// COM activates the class in a process of its own, and carries the call there.
//
// It proves a registration, from the class's key to the agent's answer. What it
// cannot show is what depends on CCG's account: the plugin's host runs as
// whoever activates it, which here is the caller.
//
// The password that may come back is wiped and given to nobody.
package activation

import (
	"context"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

// Answer is what the plugin returned.
type Answer struct {
	Result       ccgplugin.HRESULT
	Domain, User string // with OK alone
}

// Probe is an input that is no grant and looks like none. An agent that is
// asked with it refuses; which refusal arrives tells how far the call came.
const Probe = "gmsa-agent plugin call"

// Error says that the plugin was not reached: COM failed before or under way.
type Error struct {
	Op     string
	Result ccgplugin.HRESULT
	System string // what Windows says of the result
}

func (e *Error) Error() string {
	said := e.System
	if f, ok := Explain(e.Result); ok {
		said = f.Meaning
	}
	return fmt.Sprintf("%s: 0x%08X: %s", e.Op, uint32(e.Result), said)
}

// Call activates the class and has it exchange input for credentials. Where the
// plugin itself answers, the error is nil, whatever the answer. An activation
// cannot be called back: when ctx ends first, Call returns, and what was begun
// goes on without it.
func Call(ctx context.Context, input string) (Answer, error) {
	type result struct {
		answer Answer
		err    error
	}
	results := make(chan result, 1)
	go func() {
		var r result
		r.answer, r.err = call(input)
		results <- r
	}()
	select {
	case r := <-results:
		return r.answer, r.err
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("activate the plugin: no answer: %w", ctx.Err())
	}
}
