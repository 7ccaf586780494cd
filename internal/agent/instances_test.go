package agent

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// oneInstance has one instance, and removes it once that is recorded.
type oneInstance struct{ removed []string }

func (o *oneInstance) List(context.Context) (hcs.Report, error) {
	return hcs.Report{Instances: []hcs.Found{{ID: "c1", State: hcs.Orphaned, Place: "containerd/k8s.io"}}}, nil
}

func (o *oneInstance) Reap(ctx context.Context, q hcs.Request, before func(hcs.Removal) error) (hcs.Report, error) {
	report, err := o.List(ctx)
	for _, id := range q.IDs {
		if err := before(hcs.Removal{ID: id, Place: "containerd/k8s.io", Reason: "it is gone"}); err != nil {
			report.Instances[0].Kept = err.Error()
			continue
		}
		o.removed = append(o.removed, id)
	}
	return report, err
}

func TestTheControlChannelListsAndReapsInstances(t *testing.T) {
	w := newWorld(t)
	instances := &oneInstance{}
	w.Serve(instances)
	call := served(t, func(ctx context.Context, l net.Listener) error { return w.ServeControl(ctx, l, func(hook.Key) {}) })
	var report hcs.Report
	if err := control.Call(t.Context(), call(nil), VerbInstances, nil, &report); err != nil || len(report.Instances) != 1 {
		t.Errorf("list: %+v, %v", report, err)
	}
	w.trail.fails = true
	if err := control.Call(t.Context(), call(nil), VerbReap, hcs.Request{IDs: []string{"c1"}}, &report); err != nil || report.Instances[0].Kept == "" {
		t.Errorf("a reap that cannot be recorded: %+v, %v", report, err)
	}
	w.trail.fails = false
	if instances.removed != nil {
		t.Errorf("removed without a record: %q", instances.removed)
	}
	if err := control.Call(t.Context(), call(nil), VerbReap, hcs.Request{IDs: []string{"c1"}}, &report); err != nil || !slices.Equal(instances.removed, []string{"c1"}) {
		t.Errorf("reap: %q, %v", instances.removed, err)
	}
	records := w.records(audit.InstanceRemoved)
	if len(records) != 1 {
		t.Fatalf("records: %v", records)
	}
	r := records[0]
	if diff := cmp.Diff(&hook.Key{Runtime: "containerd", Namespace: "k8s.io", ID: "c1"}, r.Container); diff != "" || r.Peer == nil || r.Reason != "it is gone" {
		t.Errorf("record %+v", r)
	}
	for _, bad := range []any{"c1", map[string]any{"ids": []string{"c1"}, "force": true}, hcs.Request{IDs: make([]string, maxReap+1)}} {
		if err := control.Call(t.Context(), call(nil), VerbReap, bad, nil); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%T: %v", bad, err)
		}
	}
}

func TestGrantsAreNamedByContainer(t *testing.T) {
	w := newWorld(t)
	got := w.admit(facts("c1", "file://webapp01.json"))
	if diff := cmp.Diff(map[string]string{"c1": got.Grant}, w.Grants()); diff != "" {
		t.Error(diff)
	}
}

func TestAnAgentWithoutInstancesSaysSo(t *testing.T) {
	w := newWorld(t)
	call := served(t, func(ctx context.Context, l net.Listener) error { return w.ServeControl(ctx, l, func(hook.Key) {}) })
	for _, verb := range []string{VerbInstances, VerbReap} {
		if err := control.Call(t.Context(), call(nil), verb, hcs.Request{}, nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", verb, err)
		}
	}
}
