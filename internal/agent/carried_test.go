package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

func TestAContainersDocumentIsShownWithoutItsToken(t *testing.T) {
	w := newWorld(t)
	admitted := w.admit(facts("c1", "file://webapp01.json"))
	token := tokenOf(t, admitted)
	text, fails := string(admitted.Document), error(nil)
	w.Carry("containerd", func(_ context.Context, k hook.Key) (string, string, error) {
		if k != facts("c1", "").Key {
			t.Errorf("asked for %s", k)
		}
		return text, "config.json", fails
	})
	call := served(t, func(ctx context.Context, l net.Listener) error { return w.ServeControl(ctx, l, func(hook.Key) {}) })
	inspect := func() Carried {
		t.Helper()
		var answer json.RawMessage
		if err := control.Call(t.Context(), call(nil), VerbContainer, "c1", &answer); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(answer), token) || strings.Contains(string(answer), wire.TokenPrefix) {
			t.Error("the token is in the answer")
		}
		var found []Container
		if err := json.Unmarshal(answer, &found); err != nil || len(found) != 1 || found[0].Carried == nil {
			t.Fatalf("%s, %v", answer, err)
		}
		return *found[0].Carried
	}
	got := inspect()
	want := strings.Replace(string(admitted.Document), token, "(redacted)", 1)
	if got.Document != want || !got.Admitted || got.Place != "config.json" || got.Error != "" {
		t.Errorf("%+v", got)
	}
	text = contoso
	if got := inspect(); got.Admitted || got.Document != contoso {
		t.Errorf("another document: %+v", got)
	}
	text = `raw://{"PluginInput":"` + token + `"}`
	if got := inspect(); !strings.HasPrefix(got.Reference, "raw://(sha256:") || got.Document != "" {
		t.Errorf("a reference: %+v", got)
	}
	for _, text = range []string{`{"PluginInput":"` + token, token, ""} {
		if got := inspect(); got.Error == "" || got.Document != "" {
			t.Errorf("%.20q: %+v", text, got)
		}
	}
	fails = fmt.Errorf("containerd says no: %w", fault.ErrUnavailable)
	if got := inspect(); got.Error != fails.Error() {
		t.Errorf("%+v", got)
	}
	fails = fmt.Errorf("nowhere: %w", fault.ErrNotFound)
	if got := inspect(); got.Error != "the container is gone" {
		t.Errorf("%+v", got)
	}
	if _, err := w.inspect(t.Context(), "c9"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}
