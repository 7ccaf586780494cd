package audit

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func collect(t *testing.T, path string) []Record {
	t.Helper()
	var got []Record
	for r, err := range Read(path) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	return got
}

func open(t *testing.T, path string, size int64, keep int) *Log {
	t.Helper()
	l, err := Open(path, size, keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, 0, 0)
	want := []Record{
		{Time: time.Unix(1, 0).UTC(), Event: AgentStarted},
		{
			Time: time.Unix(2, 0).UTC(), Event: AdmitGranted, Container: &hook.Key{Runtime: "containerd", Namespace: "k8s.io", ID: "c1"},
			Image: "img", Reference: "file://a.json", Digest: "d", Domain: "contoso.com", Account: "webapp01", Grant: "g",
			Secret: "local://contoso", Version: "3", Peer: &Peer{PID: 1, Image: "/x", User: "uid:0"}, Reason: "because\nof \"it\"",
		},
	}
	for _, r := range want {
		if err := l.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, collect(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestAFullTrailContinuesInANewFileAndTheOldestGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, MaxLine, 2)
	reason := strings.Repeat("x", maxField)
	n := 5 * MaxLine / maxField
	for i := range n {
		if err := l.Write(Record{Event: AdmitRefused, Grant: fmt.Sprint(i), Reason: reason}); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := filepath.Glob(path + "*")
	if len(files) != 3 {
		t.Fatalf("files: %v", files)
	}
	got := collect(t, path)
	for i, r := range got {
		if want := fmt.Sprint(n - len(got) + i); r.Grant != want {
			t.Fatalf("record %d is %s, not %s: lost or out of order", i, r.Grant, want)
		}
	}
}

func TestARecordIsBoundedWhateverItIsMadeOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, 0, 0)
	huge := strings.Repeat("\x01<é", 1<<20)
	r := Record{
		Event: AdmitRefused, Container: &hook.Key{Runtime: huge, Namespace: huge, ID: huge}, Image: huge, Reference: huge, Digest: huge,
		Domain: huge, Account: huge, Grant: huge, Secret: huge, Version: huge, Peer: &Peer{Image: huge, User: huge}, Reason: huge,
	}
	if err := l.Write(r); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, path); len(got) != 1 || len(got[0].Reason) > maxField+len("…") {
		t.Errorf("%d records", len(got))
	}
}

// fill gives every text of v the value s and counts them.
func fill(v reflect.Value, s string) (texts int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
		return 1
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), s)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return 0
		}
		for i := range v.NumField() {
			texts += fill(v.Field(i), s)
		}
	case reflect.Int:
		v.SetInt(math.MaxInt)
	}
	return texts
}

func TestTheLongestRecordThatCanBeWrittenIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	var r Record
	if n := fill(reflect.ValueOf(&r).Elem(), strings.Repeat("\x01", 2*maxField)); n != texts {
		t.Errorf("a record has %d texts, not %d", n, texts)
	}
	if err := open(t, path, 0, 0).Write(r); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, path); len(got) != 1 || !strings.HasPrefix(got[0].Peer.User, strings.Repeat("\x01", maxField)) {
		t.Errorf("%d records", len(got))
	}
}

func TestALineCutShortSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(`{"event":"agent.started"}`+"\n"+`{"event":"admit.gr`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path, 0, 0).Write(Record{Event: AgentStopped}); err != nil {
		t.Fatal(err)
	}
	var events []Event
	bad := 0
	for r, err := range Read(path) {
		if errors.Is(err, fault.ErrMalformed) {
			bad++
			continue
		}
		events = append(events, r.Event)
	}
	if diff := cmp.Diff([]Event{AgentStarted, AgentStopped}, events); diff != "" || bad != 1 {
		t.Errorf("%d bad lines; %s", bad, diff)
	}
}

func TestAClosedTrailRefusesRecords(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "audit.log"), 0, 0)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(Record{Event: AgentStopped}); err == nil {
		t.Error("Write after Close succeeded")
	}
}

func TestFollowSeesRecordsAcrossARotation(t *testing.T) {
	defer func(d time.Duration) { followInterval = d }(followInterval)
	followInterval = time.Millisecond
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, MaxLine, 3)
	if err := l.Write(Record{Event: AgentStarted, Reason: "before"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	seen := make(chan string, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(seen)
		for r, err := range Follow(done, path) {
			if err != nil {
				t.Error(err)
				return
			}
			seen <- r.Grant
		}
	})
	write := func(grant string) {
		t.Helper()
		if err := l.Write(Record{Event: AdmitRefused, Grant: grant, Secret: strings.Repeat("x", maxField)}); err != nil {
			t.Fatal(err)
		}
	}
	// Follow starts at the end of the file: write until it is there.
	for following := false; !following; {
		write("ping")
		select {
		case <-seen:
			following = true
		case <-time.After(followInterval / 10):
		}
	}
	// A reader that is more than one rotation behind may lose records, so this
	// writer waits for it; the trail is rotated twice on the way.
	for i := range 2 * MaxLine / maxField {
		want := fmt.Sprint(i)
		write(want)
		got := <-seen
		for got == "ping" {
			got = <-seen
		}
		if got != want {
			t.Fatalf("got record %q, want %q", got, want)
		}
	}
	close(done)
	for range seen {
		t.Error("a record that nobody wrote")
	}
	wg.Wait()
}

func FuzzParseNeverPanicsAndBoundsItsInput(f *testing.F) {
	f.Add([]byte(`{"event":"admit.granted","container":{"id":"x"}}`))
	f.Add([]byte(`{"event":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if r, err := Parse(line); err == nil && r.Event == "" {
			t.Error("a record without an event")
		}
	})
}

func TestEveryEventIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "audit.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range Events {
		if !strings.Contains(string(page), "| `"+string(e)+"` |") {
			t.Errorf("docs/audit.md has no row for %s", e)
		}
	}
}
