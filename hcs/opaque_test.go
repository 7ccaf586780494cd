package hcs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestOpaqueNeverShowsItsText(t *testing.T) {
	const canary = "canary-5d0c"
	state := ContainerCredentialGuardState{Cookie: NewOpaque(canary), RpcEndpoint: "e", Transport: TransportLRPC, CredentialSpec: NewOpaque(canary)}
	instance := ContainerCredentialGuardInstance{Id: "c1", CredentialGuard: &state}
	add := &ContainerCredentialGuardAddInstanceRequest{Id: "c1", CredentialSpec: NewOpaque(canary)}
	type hidden struct {
		state  ContainerCredentialGuardState // unexported: package fmt does not ask it how to print
		cookie Opaque
		asAny  any
	}
	values := []any{
		state.Cookie, &state.Cookie, []Opaque{state.Cookie}, map[string]Opaque{"x": state.Cookie}, state, &state, instance, []*ContainerCredentialGuardInstance{&instance},
		&ContainerCredentialGuardSystemInfo{Instances: []ContainerCredentialGuardInstance{instance}}, add,
		ContainerCredentialGuardOperationRequest{Operation: OperationAddInstance, OperationDetails: add},
		&ModificationRequest{Settings: &ContainerCredentialGuardOperationRequest{OperationDetails: add}},
		hidden{state, state.Cookie, state}, &hidden{state, state.Cookie, &state},
		fmt.Errorf("wrapped: %v", state),
	}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T", "%12.3s"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(h).Info("x", "v", v, slog.Group("g", "v", v))
		}
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
	}
	text, err := state.Cookie.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, bad := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("%q is printed", bad)
		}
	}
	if !strings.Contains(out.String(), Redacted) {
		t.Error("nothing says that something was left out")
	}
}

func TestOpaqueKeepsItsText(t *testing.T) {
	if got := NewOpaque("x").Reveal(); got != "x" {
		t.Errorf("got %q", got)
	}
	var zero Opaque
	if !zero.IsZero() || zero.Reveal() != "" || !NewOpaque("").IsZero() || NewOpaque("x").IsZero() {
		t.Error("the zero value is not the empty text")
	}
	if !NewOpaque("x").Equal(NewOpaque("x")) || NewOpaque("x").Equal(NewOpaque("y")) || !zero.Equal(NewOpaque("")) {
		t.Error("Equal does not compare the texts")
	}
}
