// Package control is the control channel's protocol: one JSON request in a
// frame of package wire, answered by any number of items and one last answer.
//
// It knows envelopes. What the verbs are and what their bodies hold is between
// the agent and its clients; who may ask is package channel's business.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// MaxPayload bounds a payload of the control channel, in bytes: the facts of a
// container with 1 MiB of annotations and labels, escaped, or the list of
// 5,000 containers at 800 bytes each.
const MaxPayload = 4 << 20

// maxVerb is far above the longest verb that anybody will choose.
const maxVerb = 64

// Request is what a client asks.
type Request struct {
	Verb string          `json:"verb"`
	Body json.RawMessage `json:"body,omitempty"`
}

// Answer is the last frame of an exchange: a body or a refusal. A body is
// absent where the verb answers with nothing.
type Answer struct {
	Body  json.RawMessage `json:"body,omitempty"`
	Error *wire.Refusal   `json:"error,omitempty"`
}

// Decode reads one JSON value strictly: an unknown field and anything after
// the value are errors that wrap [fault.ErrMalformed] and name the place.
func Decode(data []byte, place string, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w: %w", place, fault.ErrMalformed, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w: more than one JSON value", place, fault.ErrMalformed)
	}
	return nil
}

// WriteRequest writes a request with in as its body; nil for none.
func WriteRequest(w io.Writer, verb string, in any) error {
	body, err := encode(in)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return write(w, wire.KindRequest, Request{Verb: verb, Body: body})
}

// ReadRequest reads a request. Its verb is neither empty nor longer than 64
// bytes; whether it exists is the caller's to say.
func ReadRequest(r io.Reader) (Request, error) {
	_, payload, err := wire.ReadFrame(r, MaxPayload, wire.KindRequest)
	if err != nil {
		return Request{}, err
	}
	var req Request
	if err := Decode(payload, "request", &req); err != nil {
		return Request{}, err
	}
	if req.Verb == "" || len(req.Verb) > maxVerb {
		return Request{}, fmt.Errorf("request: %w: the verb has %d bytes, 1 to %d are allowed", fault.ErrMalformed, len(req.Verb), maxVerb)
	}
	return req, nil
}

// WriteItem writes one of many; more follow.
func WriteItem(w io.Writer, item any) error {
	body, err := encode(item)
	if err != nil {
		return err
	}
	return write(w, wire.KindItem, Answer{Body: body})
}

// WriteAnswer ends an exchange with out as the body; nil for none.
func WriteAnswer(w io.Writer, out any) error {
	body, err := encode(out)
	if err != nil {
		return err
	}
	return write(w, wire.KindAnswer, Answer{Body: body})
}

// WriteError ends an exchange with a refusal: err itself if it is one, else
// one with the code of its fault kind and its words.
func WriteError(w io.Writer, err error) error {
	refusal, ok := errors.AsType[*wire.Refusal](err)
	if !ok {
		refusal = &wire.Refusal{Code: wire.CodeOf(err), Message: err.Error()}
	}
	return write(w, wire.KindAnswer, Answer{Error: refusal})
}

// readAnswer reads an item or the last answer. A refusal is the error.
func readAnswer(r io.Reader) (body json.RawMessage, last bool, err error) {
	kind, payload, err := wire.ReadFrame(r, MaxPayload, wire.KindItem, wire.KindAnswer)
	if err != nil {
		return nil, false, err
	}
	var answer Answer
	if err := Decode(payload, "answer", &answer); err != nil {
		return nil, false, err
	}
	if answer.Error != nil {
		return nil, true, answer.Error
	}
	return answer.Body, kind == wire.KindAnswer, nil
}

// Call makes one exchange on conn: verb with in as body, and the answer's body
// into out. Either may be nil. A refusal is returned as [*wire.Refusal], and
// the context's end as its error. The connection serves this one exchange.
func Call(ctx context.Context, conn net.Conn, verb string, in, out any) error {
	return exchange(ctx, conn, verb, in, func(body json.RawMessage, last bool) error {
		switch {
		case !last:
			return fmt.Errorf("%s: %w: an item where one answer was expected", verb, fault.ErrMalformed)
		case out == nil:
			return nil
		}
		return Decode(body, verb+": answer", out)
	})
}

// Follow makes one exchange whose answer comes in items, and gives each item's
// body to item until the agent ends it, item returns an error or the context
// ends. It returns nil only for the agent's own end.
func Follow(ctx context.Context, conn net.Conn, verb string, in any, item func(json.RawMessage) error) error {
	return exchange(ctx, conn, verb, in, func(body json.RawMessage, last bool) error {
		if last {
			return nil
		}
		return item(body)
	})
}

func exchange(ctx context.Context, conn net.Conn, verb string, in any, each func(json.RawMessage, bool) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	// The context ends the exchange through the connection's deadline. The
	// deadline itself is set as well: it must hold although AfterFunc runs late.
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("%s: %w: %w", verb, fault.ErrUnavailable, err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	err := WriteRequest(conn, verb, in)
	for err == nil {
		var body json.RawMessage
		var last bool
		if body, last, err = readAnswer(conn); err != nil {
			break
		}
		if err = each(body, last); err != nil || last {
			return err
		}
	}
	if _, refused := errors.AsType[*wire.Refusal](err); refused {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w: no answer: %w", verb, fault.ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("%s: %w", verb, err)
}

func encode(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	return json.Marshal(v)
}

func write(w io.Writer, kind wire.Kind, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	defer clear(payload) // an admission's document carries the grant token
	return wire.WriteFrame(w, kind, payload, MaxPayload)
}
