package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

type greeting struct {
	Name string `json:"name"`
}

func serve(t *testing.T, handle Handler) (client net.Conn, done <-chan error) {
	t.Helper()
	client, server := net.Pipe()
	errs := make(chan error, 1)
	go func() {
		errs <- Serve(t.Context(), server, handle)
		server.Close()
	}()
	t.Cleanup(func() { client.Close() })
	return client, errs
}

func TestACallBringsItsAnswer(t *testing.T) {
	client, done := serve(t, func(_ context.Context, req Request, _ func(any) error) (any, error) {
		var in greeting
		if err := Decode(req.Body, req.Verb, &in); err != nil {
			return nil, err
		}
		return greeting{req.Verb + " " + in.Name}, nil
	})
	var out greeting
	if err := Call(t.Context(), client, "greet", greeting{"<you>"}, &out); err != nil || out.Name != "greet <you>" {
		t.Errorf("got %q, %v", out.Name, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestACallMayHaveNeitherBody(t *testing.T) {
	client, _ := serve(t, func(_ context.Context, req Request, _ func(any) error) (any, error) {
		if req.Body != nil {
			return nil, fault.ErrMalformed
		}
		return nil, nil
	})
	if err := Call(t.Context(), client, "ping", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestARefusalReachesTheCallerWithItsKindAndWords(t *testing.T) {
	for _, kind := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed, errors.ErrUnsupported} {
		client, _ := serve(t, func(context.Context, Request, func(any) error) (any, error) {
			return nil, fmt.Errorf("file://x.json: %w", kind)
		})
		err := Call(t.Context(), client, "admit", greeting{}, nil)
		refusal, ok := errors.AsType[*wire.Refusal](err)
		if !ok || !errors.Is(err, kind) || !strings.HasPrefix(refusal.Message, "file://x.json: ") {
			t.Errorf("%v: got %v", kind, err)
		}
	}
}

func TestARefusalIsPassedOnAsItIs(t *testing.T) {
	client, _ := serve(t, func(context.Context, Request, func(any) error) (any, error) {
		return nil, fmt.Errorf("wrapped: %w", &wire.Refusal{Code: wire.CodeUnknownGrant, Message: "gone"})
	})
	err := Call(t.Context(), client, "x", nil, nil)
	if r, ok := errors.AsType[*wire.Refusal](err); !ok || r.Code != wire.CodeUnknownGrant || r.Message != "gone" {
		t.Errorf("got %v", err)
	}
}

func TestFollowGetsEveryItemAndTheEnd(t *testing.T) {
	client, done := serve(t, func(_ context.Context, _ Request, item func(any) error) (any, error) {
		for i := range 3 {
			if err := item(i); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	var got []string
	err := Follow(t.Context(), client, "audit", nil, func(b json.RawMessage) error {
		got = append(got, string(b))
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFollowEndsWithItsReader(t *testing.T) {
	enough := errors.New("enough")
	client, _ := serve(t, func(_ context.Context, _ Request, item func(any) error) (any, error) {
		return nil, item(1)
	})
	err := Follow(t.Context(), client, "audit", nil, func(json.RawMessage) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

func TestTheContextEndsACallThatHangs(t *testing.T) {
	asked := make(chan struct{})
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() {
		_, _ = ReadRequest(server)
		close(asked)
	}()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	err := Call(ctx, client, "status", nil, nil)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := Call(ctx, client, "status", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: got %v", err)
	}
}

func TestAClientThatSaysNothingIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		err := Serve(t.Context(), server, nil)
		if !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		client.Close()
		synctest.Wait()
	})
}

func TestAClientThatDoesNotReadIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		go func() { _ = WriteRequest(client, "status", nil) }()
		err := Serve(t.Context(), server, func(context.Context, Request, func(any) error) (any, error) { return 1, nil })
		if !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnUnreadableRequestIsRefusedInWords(t *testing.T) {
	for name, tc := range map[string]struct {
		payload string
		code    wire.Code
		says    string
	}{
		"not JSON":      {"{", wire.CodeMalformed, "request"},
		"unknown field": {`{"verb":"x","extra":1}`, wire.CodeMalformed, "extra"},
		"two values":    {`{"verb":"x"}{}`, wire.CodeMalformed, "more than one"},
		"no verb":       {`{}`, wire.CodeMalformed, "verb has 0 bytes"},
		"a long verb":   {`{"verb":"` + strings.Repeat("x", 65) + `"}`, wire.CodeMalformed, "verb has 65 bytes"},
	} {
		client, _ := serve(t, nil)
		if err := wire.WriteFrame(client, wire.KindRequest, []byte(tc.payload), MaxPayload); err != nil {
			t.Fatal(err)
		}
		_, _, err := readAnswer(client)
		r, ok := errors.AsType[*wire.Refusal](err)
		if !ok || r.Code != tc.code || !strings.Contains(r.Message, tc.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAnotherVersionIsAnsweredInWords(t *testing.T) {
	client, _ := serve(t, nil)
	if _, err := client.Write([]byte("GMS\x02\x10\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	_, _, err := readAnswer(client)
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("got %v", err)
	}
}

func FuzzReadRequest(f *testing.F) {
	for _, s := range []string{`{"verb":"admit","body":{"id":"x"}}`, `{"verb":"status"}`, `{}`, `null`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var b bytes.Buffer
		if err := wire.WriteFrame(&b, wire.KindRequest, payload, MaxPayload); err != nil {
			t.Skip()
		}
		req, err := ReadRequest(&b)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("got %v", err)
			}
			return
		}
		var in any = req.Body
		if req.Body == nil {
			in = nil
		}
		if err := WriteRequest(io.Discard, req.Verb, in); err != nil {
			t.Errorf("read what cannot be written: %v", err)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	for _, s := range []string{`{"body":1}`, `{"error":{"code":"denied","message":"no"}}`, `{"error":{"code":7}}`, `{}`} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, payload []byte, last bool) {
		kind := wire.KindItem
		if last {
			kind = wire.KindAnswer
		}
		var b bytes.Buffer
		if err := wire.WriteFrame(&b, kind, payload, MaxPayload); err != nil {
			t.Skip()
		}
		_, gotLast, err := readAnswer(&b)
		_, refused := errors.AsType[*wire.Refusal](err)
		switch {
		case err == nil && gotLast != last, err != nil && !refused && !errors.Is(err, fault.ErrMalformed):
			t.Errorf("got last=%t, %v", gotLast, err)
		}
	})
}
