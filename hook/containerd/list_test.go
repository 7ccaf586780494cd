package containerd

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

func TestContainersOfAllNamespacesAreListed(t *testing.T) {
	f := newFake(t)
	other := hook.Key{Runtime: Runtime, Namespace: "k8s.io", ID: "b"}
	f.put(key("a"), asksNot, nil)
	f.put(other, asksNot, nil)
	w := New(Config{Namespaces: []string{"default"}}, nil, nil, slog.New(slog.DiscardHandler))
	w.dial = f.dial
	got, err := w.Containers(t.Context())
	if want := []hook.Key{key("a"), other}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if w.Met() {
		t.Error("the watch does not run and says that it was connected")
	}
}

func TestAListThatBreaksIsAnError(t *testing.T) {
	f := newFake(t)
	f.put(key("a"), asksNot, nil)
	f.put(key("b"), asksNot, nil)
	f.set(func(f *fake) { f.broken = true })
	w := New(Config{}, nil, nil, slog.New(slog.DiscardHandler))
	w.dial = f.dial
	if got, err := w.Containers(t.Context()); err == nil {
		t.Errorf("got %v and no error", got)
	}
}
