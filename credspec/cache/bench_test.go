package cache

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/https"
)

// server is a web server with a document at every path, which counts requests.
type server struct {
	*httptest.Server
	source   credspec.Source
	requests atomic.Int64
}

func newServer(t testing.TB) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, document)
	}))
	t.Cleanup(s.Close)
	source, err := https.New(https.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.CloseIdleConnections)
	s.source = source
	return s
}

// atOnce is how many containers start together.
const atOnce = 1000

// resolveAtOnce resolves a reference that often and returns how many requests
// that made.
func (s *server) resolveAtOnce(t testing.TB, mux *credspec.Mux, ref credspec.Ref) (requests int64) {
	before := s.requests.Load()
	start := make(chan struct{})
	var ready, wg sync.WaitGroup
	ready.Add(atOnce)
	for range atOnce {
		wg.Go(func() {
			ready.Done()
			<-start
			if doc, err := mux.Resolve(t.Context(), ref); err != nil || string(doc.Data) != document {
				t.Errorf("%v, %v", doc, err)
			}
		})
	}
	ready.Wait()
	close(start)
	wg.Wait()
	return s.requests.Load() - before
}

func (s *server) front(w *world) *credspec.Mux {
	return credspec.NewMux(map[string]credspec.Source{https.SchemePlain: w.Front(s.source, w.limits)})
}

func (s *server) ref(path string) credspec.Ref {
	return credspec.Ref{Scheme: https.SchemePlain, Rest: s.Listener.Addr().String() + path}
}

func TestAThousandAtOnceMakeOneRequestToAServer(t *testing.T) {
	w, s := newWorld(t), newServer(t)
	mux := s.front(w)
	if n := s.resolveAtOnce(t, mux, s.ref("/a")); n != 1 {
		t.Errorf("cold: %d requests", n)
	}
	if n := s.resolveAtOnce(t, mux, s.ref("/a")); n != 0 {
		t.Errorf("warm: %d requests", n)
	}
	if n := s.resolveAtOnce(t, s.front(w), s.ref("/a")); n != 1 {
		t.Errorf("to be revalidated: %d requests", n)
	}
}

// An operation is 1,000 resolutions of one reference at once, of which nothing
// is cached. They make one request.
func BenchmarkThousandAtOnceCold(b *testing.B) {
	w, s := newWorld(b), newServer(b)
	mux := s.front(w)
	var requests int64
	for i := 0; b.Loop(); i++ {
		n := s.resolveAtOnce(b, mux, s.ref(fmt.Sprint("/", i)))
		if n != 1 {
			b.Fatalf("%d requests for one reference", n)
		}
		requests += n
	}
	b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
	b.ReportMetric(atOnce, "resolutions/op")
}

// A document that is fresh, in memory: what it adds to an admission.
func BenchmarkFresh(b *testing.B) {
	w, s := newWorld(b), newServer(b)
	w.limits.Fresh = 24 * time.Hour
	mux := s.front(w)
	for b.Loop() {
		if _, err := mux.Resolve(b.Context(), s.ref("/a")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(s.requests.Load()), "requests")
}
