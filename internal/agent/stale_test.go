package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/cache"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// bucket is a source of one document that can be down.
type bucket struct {
	mu   sync.Mutex
	down bool
	has  string
}

func (b *bucket) set(down bool, has string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down, b.has = down, has
}

func (b *bucket) Resolve(context.Context, credspec.Ref) (credspec.Document, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return credspec.Document{}, fmt.Errorf("bucket.example: connection refused: %w", fault.ErrUnavailable)
	}
	return credspec.Document{Data: []byte(b.has), Origin: "bucket.example"}, nil
}

// remote gives the world a source behind a cache, as a started agent has them.
func (w *world) remote(b *bucket) (stop func()) {
	w.t.Helper()
	c := cache.Open(filepath.Join(w.dir, "credential-specs"), slog.New(slog.NewJSONHandler(w.logs, nil)))
	w.apply(func(s *Settings) {
		s.Specs = credspec.NewMux(map[string]credspec.Source{"s3": c.Front(b, cache.Limits{Fresh: time.Minute, Stale: 72 * time.Hour})})
	})
	return func() {
		if err := c.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func TestAContainerStartsWhileTheSourceIsDownAndTheTrailSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(t), &bucket{has: contoso}
		stop := w.remote(b)
		confirmed := time.Now().UTC()
		w.admit(facts("c1", "s3://bucket/web"))
		b.set(true, "")
		// An agent that is stopped and started meanwhile.
		stop()
		_ = w.Agent.Close()
		time.Sleep(3 * time.Hour)
		w.start()
		stop = w.remote(b)
		defer stop()

		answer := w.admit(facts("c2", "s3://bucket/web"))
		w.mustRedeem(tokenOf(t, answer))
		got := w.records(audit.SpecStale, audit.AdmitGranted)
		if len(got) != 3 {
			t.Fatalf("records: %v", got)
		}
		key := facts("c2", "").Key
		want := audit.Record{
			Time: got[1].Time, Event: audit.SpecStale, Container: &key, Image: "registry.example/app:1", Reference: "s3://bucket/web",
			Digest: credspec.Digest([]byte(contoso)), Domain: "contoso.com", Account: "webapp01",
			Reason: "it is 3h0m0s old, confirmed at " + confirmed.Format(time.RFC3339) + ": bucket.example: connection refused: unavailable",
		}
		if diff := cmp.Diff(want, got[1]); diff != "" {
			t.Error(diff)
		}
		if got[2].Event != audit.AdmitGranted || *got[2].Container != key {
			t.Errorf("records: %v", got)
		}
		for _, c := range w.Containers() {
			if stale := map[string]string{"c2": want.Reason}[c.ID]; c.Stale != stale {
				t.Errorf("%s: stale %q, want %q", c.ID, c.Stale, stale)
			}
		}

		// Every use of it is recorded, also for who may not have it.
		if _, err := w.Admit(t.Context(), facts("c3", "s3://bucket/web#sha256="+strings.Repeat("0", 64))); !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("another digest than the cached one's: %v", err)
		}
		w.apply(func(s *Settings) { s.DomainJoined, s.Local, s.Secrets = true, nil, nil })
		if got := w.admit(facts("c4", "s3://bucket/web")); got.Grant != "" {
			t.Error("it was not passed")
		}
		events := []audit.Event{}
		for _, r := range w.records() {
			if r.Container != nil && (r.Container.ID == "c3" || r.Container.ID == "c4") {
				events = append(events, r.Event)
			}
		}
		if diff := cmp.Diff([]audit.Event{audit.AdmitRefused, audit.SpecStale, audit.AdmitPassed}, events); diff != "" {
			t.Error(diff)
		}
		if got, err := w.Container("c4"); err != nil || got[0].Stale == "" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestAContainerDoesNotStartWithoutADocumentAndTheErrorNamesTheSource(t *testing.T) {
	w, b := newWorld(t), &bucket{down: true}
	defer w.remote(b)()
	_, err := w.Admit(t.Context(), facts("c1", "s3://bucket/web"))
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "s3://bucket/web") || !strings.Contains(err.Error(), "bucket.example") {
		t.Errorf("error %v", err)
	}
	if got := w.records(audit.SpecStale, audit.AdmitGranted, audit.AdmitRefused); len(got) != 1 || got[0].Reason != err.Error() {
		t.Errorf("records: %v", got)
	}
}

func TestAStaleDocumentIsNotUsedWithoutARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(t), &bucket{has: contoso}
		defer w.remote(b)()
		w.admit(facts("c1", "s3://bucket/web"))
		b.set(true, "")
		time.Sleep(time.Hour)
		w.trail.fails = true
		_, err := w.Admit(t.Context(), facts("c2", "s3://bucket/web"))
		if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("error %v", err)
		}
	})
}

func TestADocumentThatIsTakenBackIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(t), &bucket{has: contoso}
		defer w.remote(b)()
		w.admit(facts("c1", "s3://bucket/web"))
		b.set(false, "{}")
		time.Sleep(time.Minute)
		if _, err := w.Admit(t.Context(), facts("c2", "s3://bucket/web")); !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), "CmsPlugins") {
			t.Errorf("an invalid one: %v", err)
		}
		b.set(true, "")
		if _, err := w.Admit(t.Context(), facts("c3", "s3://bucket/web")); !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("the one before it: %v", err)
		}
	})
}
