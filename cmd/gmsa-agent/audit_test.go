package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

func TestAuditFollowsTheTrailAcrossRotations(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	trail := filepath.Join(dir, "audit.jsonl")
	if err := os.WriteFile(file, fmt.Appendf(nil, "audit: {file: %q}", trail), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(trail, audit.MaxLine, 2) // a few hundred records a file
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := newSession(nil, in, io.Discard).app().RunContext(ctx, []string{program, "--config", file, "audit", "--follow", "-o", "json", "--event", "grant.revoked"})
		ended <- in.CloseWithError(err)
	}()
	go func() { // until the reader has enough
		pace := time.NewTicker(100 * time.Microsecond)
		defer pace.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			_ = log.Write(audit.Record{Event: audit.GrantRevoked, Grant: fmt.Sprint(n)})
			_ = log.Write(audit.Record{Event: audit.AgentStarted})
			<-pace.C
		}
	}()

	lines := bufio.NewScanner(out)
	rotated := func() bool { _, err := os.Stat(trail + ".1"); return err == nil }
	last, seen, seenAfter := -1, 0, 0
	for seenAfter < 10 && lines.Scan() {
		var r audit.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscan(r.Grant, &n); err != nil || r.Event != audit.GrantRevoked {
			t.Fatalf("unexpected record %+v", r)
		}
		if last >= 0 && n <= last {
			t.Fatalf("record %d after record %d", n, last)
		}
		last = n
		if seen++; rotated() {
			seenAfter++
		}
	}
	cancel()
	go io.Copy(io.Discard, out) //nolint:errcheck // so that a last record can still be printed
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if seenAfter < 10 {
		t.Errorf("%d records seen, %d of them after a rotation: %v", seen, seenAfter, lines.Err())
	}
}
