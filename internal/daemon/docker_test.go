package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hcs"
)

// engine is a dockerRuntime whose engine answers as it is told.
func engine(t *testing.T, answer http.HandlerFunc) *dockerRuntime {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return &dockerRuntime{address: "engine", dial: func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}
}

// trace leaves what an installed Docker would have, or nothing.
func trace(t *testing.T, there bool) {
	before := dockerTraces
	t.Cleanup(func() { dockerTraces = before })
	dockerTraces = traces{folders: []string{filepath.Join(t.TempDir(), "docker")}}
	if there {
		if err := os.Mkdir(dockerTraces.folders[0], 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDockersContainersAreAskedForRunningOrNot(t *testing.T) {
	r := engine(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.String() != "/containers/json?all=1" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		_, _ = w.Write([]byte(`[{"Id":"a","State":"running"},{"Id":"b","State":"exited","Labels":{}}]`))
	})
	got, err := r.Containers(t.Context())
	if want := []hcs.Container{{ID: "a", Place: "docker"}, {ID: "b", Place: "docker"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAnswersOfDockerThatAreNotWholeAreErrors(t *testing.T) {
	trace(t, false) // no reason to take it for absent: it answers
	for name, answer := range map[string]http.HandlerFunc{
		"an error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusInternalServerError) },
		"no list":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"message":"x"}`)) },
		"null":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`null`)) },
		"nothing":     func(http.ResponseWriter, *http.Request) {},
		"without ids": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[{"Id":"a"},{}]`)) },
		"half a list": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`[{"Id":"a"}]`))
		},
	} {
		r := engine(t, answer)
		r.met.Store(true)
		if got, err := r.Containers(t.Context()); err == nil || errors.Is(err, hcs.ErrAbsent) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestDockerIsAbsentOnlyIfNothingOfItIsThere(t *testing.T) {
	refused := func(context.Context, string) (net.Conn, error) { return nil, errors.New("refused") }
	trace(t, false)
	r := &dockerRuntime{address: "engine", dial: refused}
	if _, err := r.Containers(t.Context()); !errors.Is(err, hcs.ErrAbsent) || !strings.Contains(err.Error(), dockerTraces.folders[0]) {
		t.Errorf("nothing is there: %v", err)
	}
	r.met.Store(true)
	if _, err := r.Containers(t.Context()); err == nil || errors.Is(err, hcs.ErrAbsent) {
		t.Errorf("it answered before: %v", err)
	}
	trace(t, true)
	r = &dockerRuntime{address: "engine", dial: refused}
	if _, err := r.Containers(t.Context()); err == nil || errors.Is(err, hcs.ErrAbsent) {
		t.Errorf("its folder is there: %v", err)
	}
}
