package kubeclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func watch(t *testing.T, handler http.HandlerFunc) *Watch {
	t.Helper()
	c, _ := clientOf(t, serve(t, handler), fields{"token": "one"})
	w, err := c.Watch(t.Context(), "/api/v1/namespaces/x/secrets", "contoso", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func event(kind, version string) string {
	return `{"type":"` + kind + `","object":{"metadata":{"name":"contoso","uid":"u","resourceVersion":"` + version + `","annotations":{"x":"` + strings.Repeat("canary", 3000) + `"}}}}` + "\n"
}

func TestWatchTellsChangesUntilItsTimeIsOver(t *testing.T) {
	var asked string
	w := watch(t, func(w http.ResponseWriter, r *http.Request) {
		asked = fmt.Sprint(r.URL, " ", r.Header.Get("Accept"), " ", r.Header.Get("Authorization"))
		text := event("ADDED", "1") + event("BOOKMARK", "2") + "\n" + event("MODIFIED", "3") + event("DELETED", "4")
		for len(text) > 0 { // in pieces that are no lines
			n := min(len(text), 1234)
			_, _ = io.WriteString(w, text[:n])
			w.(http.Flusher).Flush()
			text = text[n:]
		}
	})
	var got []Change
	for {
		c, err := w.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c)
	}
	want := []Change{{"ADDED", "contoso", "u", "1"}, {"MODIFIED", "contoso", "u", "3"}, {"DELETED", "contoso", "u", "4"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if want := "/prefix/api/v1/namespaces/x/secrets?fieldSelector=metadata.name%3Dcontoso&timeoutSeconds=60&watch=true " + Metadata + " Bearer one"; asked != want {
		t.Errorf("asked %s, want %s", asked, want)
	}
}

func TestWatchEndsWithWhatIsNoEvent(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		kind error
		says string
	}{
		"gone":       {`{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old\nresource version"}}` + "\n", fault.ErrUnavailable, "410 Gone: too old resource version"},
		"no JSON":    {"canary\n", fault.ErrUnavailable, "no event"},
		"no type":    {"{}\n", fault.ErrUnavailable, "a type that there is not"},
		"half":       {event("ADDED", "1")[:100], fault.ErrUnavailable, ""},
		"never ends": {strings.Repeat("canary", maxEvent), fault.ErrMalformed, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.text) })
			_, err := w.Next()
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v; want %q", err, c.says)
			}
		})
	}
}

func TestWatchEndsWithItsContextAndWhenItIsRefused(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	c, _ := clientOf(t, server, fields{"token": "one"})
	ctx, cancel := context.WithCancel(t.Context())
	w, err := c.Watch(ctx, "/api", "x", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cancel()
	if _, err := w.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}

	c, _ = clientOf(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind":"Status","reason":"Forbidden","message":"cannot watch"}`)
	}), fields{"token": "one"})
	if _, err := c.Watch(t.Context(), "/api", "x", time.Minute); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "cannot watch") {
		t.Errorf("%v", err)
	}
}

func FuzzWatch(f *testing.F) {
	f.Add([]byte(event("ADDED", "1") + event("MODIFIED", "2")))
	f.Add([]byte(`{"type":"ERROR","object":{"code":410}}` + "\n\n\n{}"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		w := &Watch{c: &Client{}, ctx: t.Context(), cancel: func() {}, body: io.NopCloser(strings.NewReader(string(stream)))}
		for range 1000 {
			if _, err := w.Next(); err != nil {
				return
			}
		}
	})
}
