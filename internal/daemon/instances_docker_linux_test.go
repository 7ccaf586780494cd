package daemon

import (
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
	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// engine answers /containers/json as it is told; it returns its endpoint.
func engine(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/_ping") {
			w.Header().Set("Api-Version", "1.51")
			return
		}
		if !strings.HasSuffix(r.URL.Path, "/containers/json") || r.URL.Query().Get("all") != "1" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		answer(w, r)
	}))
	server.Listener = l
	server.Start()
	t.Cleanup(func() {
		server.Close()
		_ = os.RemoveAll(dir)
	})
	return "unix://" + l.Addr().String()
}

// leaveTrace leaves what an installed Docker would have, or nothing.
func leaveTrace(t *testing.T, there bool) {
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
	r := &dockerRuntime{enabled: config.EnabledFalse, endpoint: engine(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"Id":"a","State":"running"},{"Id":"b","State":"exited","Labels":{}}]`))
	})}
	got, err := r.Containers(t.Context())
	if want := []hcs.Container{{ID: "a", Place: "docker"}, {ID: "b", Place: "docker"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAnswersOfDockerThatAreNotWholeAreErrors(t *testing.T) {
	leaveTrace(t, true)
	for name, answer := range map[string]http.HandlerFunc{
		"an error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusInternalServerError) },
		"no list":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"message":"x"}`)) },
		"nothing":     func(http.ResponseWriter, *http.Request) {},
		"without ids": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[{"Id":"a"},{}]`)) },
		"half a list": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`[{"Id":"a"},`))
		},
	} {
		r := &dockerRuntime{enabled: config.EnabledAuto, endpoint: engine(t, answer)}
		if got, err := r.Containers(t.Context()); err == nil || errors.Is(err, hcs.ErrAbsent) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestDockerIsAbsentOnlyIfNothingSpeaksForIt(t *testing.T) {
	nowhere := "unix://" + filepath.Join(t.TempDir(), "sock")
	absent := func(r *dockerRuntime) bool {
		t.Helper()
		_, err := r.Containers(t.Context())
		if err == nil {
			t.Error("no error")
		}
		return errors.Is(err, hcs.ErrAbsent)
	}
	leaveTrace(t, false)
	met := &dockerRuntime{enabled: config.EnabledAuto, endpoint: nowhere}
	met.met.Store(true)
	switch {
	case !absent(&dockerRuntime{enabled: config.EnabledAuto, endpoint: nowhere}):
		t.Error("nothing is there, and it counts as silent")
	case absent(&dockerRuntime{enabled: config.EnabledTrue, endpoint: nowhere}):
		t.Error("it is configured, and counts as absent")
	case absent(met):
		t.Error("it answered before, and counts as absent")
	}
	leaveTrace(t, true)
	switch {
	case absent(&dockerRuntime{enabled: config.EnabledAuto, endpoint: nowhere}):
		t.Error("its folder is there, and it counts as absent")
	case !absent(&dockerRuntime{enabled: config.EnabledFalse, endpoint: nowhere}):
		t.Error("it is disabled, and counts as silent")
	}
}
