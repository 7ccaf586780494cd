package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

var ccgReport = func() hcs.Report {
	at := time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC)
	return hcs.Report{
		Time: at,
		Asked: []hcs.Asked{
			{Name: `containerd at \\.\pipe\c`, Containers: 1}, {Name: "docker", Absent: "no service docker: not on this host"},
			{Name: "HCS", Error: "HRESULT 0x1"},
		},
		Instances: []hcs.Found{
			{ID: "a", Transport: hcs.TransportLRPC, State: hcs.Live, Known: []string{"containerd/k8s.io", "HCS (Running)"}, Grant: "g-1"},
			{ID: "b\x1b[m", Transport: hcs.TransportHvSocket, State: hcs.Orphaned, Place: "containerd/k8s.io", Since: at.Add(-time.Minute), Due: at.Add(9 * time.Minute)},
		},
	}
}()

func TestInstancesAreListedWithWhoHasTheirContainers(t *testing.T) {
	report := ccgReport
	report.Unclear = "HCS: HRESULT 0x1"
	var out bytes.Buffer
	if err := printInstances(&out, report); err != nil {
		t.Fatal(err)
	}
	want := `INSTANCE  TRANSPORT  STATE     CONTAINER                         GRANT  SINCE                     REMOVED FROM
a         LRPC       live      containerd/k8s.io, HCS (Running)  g-1    -                         -
b\x1b[m   HvSocket   orphaned  was containerd/k8s.io             -      2026-10-03T11:59:00.000Z  2026-10-03T12:09:00.000Z

asked    containerd at \\.\pipe\c  1 container
asked    docker                    absent: no service docker: not on this host
asked    HCS                       no answer: HRESULT 0x1
unclear  nothing is removed        HCS: HRESULT 0x1
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasReapedAndWhatStaysIsSaid(t *testing.T) {
	report := ccgReport
	text := func(q hcs.Request) string {
		var out bytes.Buffer
		if err := printReaped(&out, report, q); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := text(hcs.Request{}); got != "nothing is due: 2 instances, 1 without a container\n" {
		t.Errorf("got %q", got)
	}
	if err := notReaped(report); err != nil {
		t.Error(err)
	}
	report.Instances[1].Chosen = true
	if got := text(hcs.Request{DryRun: true}); got != "would remove b\\x1b[m\n" {
		t.Errorf("got %q", got)
	}
	report.Instances[1].Removed = true
	if got := text(hcs.Request{}); got != "removed b\\x1b[m\n" {
		t.Errorf("got %q", got)
	}
	report.Missing = []string{"c"}
	report.Instances[0].Kept = "its container is there"
	report.Unclear = "docker: restarting"
	err := notReaped(report)
	for _, want := range []string{`CCG instance "c": not found`, `CCG instance "a" stays: its container is there`, "nothing is removed: docker: restarting"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if !errors.Is(err, fault.ErrNotFound) || !as[*reapError](err) {
		t.Errorf("error %v", err)
	}
}

func TestStatusSaysHowItGoesWithTheInstances(t *testing.T) {
	at := time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC)
	for want, status := range map[string]hcs.ReaperStatus{
		"0 instances, 0 without a container, 0 of others, 0 removed, last look never": {Reaps: true},
		"50 instances, 30 without a container, 1 of others, 2 removed, 1 not removed, last look " + stamp(at) +
			", removing none by itself (ccg.reap), unclear: docker: down, last error " + stamp(at) + ": refused": {
			LastLook: at, Instances: 50, Orphaned: 30, Foreign: 1, Removed: 2, Failed: 1, Unclear: "docker: down", LastError: "refused", LastErrorAt: at,
		},
	} {
		if got := ccgText(status); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
