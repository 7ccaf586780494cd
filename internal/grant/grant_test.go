package grant

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

func key(id string) hook.Key { return hook.Key{Runtime: "containerd", Namespace: "ns", ID: id} }

func sample(id, token string) Grant {
	return Grant{
		Name: "g-" + id, Token: Sum(token), Container: key(id), Reference: "file://a.json", Source: "abc", Document: Sum("doc"),
		Domain: "contoso.com", NetBIOS: "CONTOSO", Account: "webapp01", Secret: "local://contoso", Created: time.Unix(1, 0).UTC(),
	}
}

func open(t testing.TB, dir string, wantDamaged int) *Registry {
	t.Helper()
	r, damaged, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if damaged != wantDamaged {
		t.Errorf("%d damaged lines, want %d", damaged, wantDamaged)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func add(t testing.TB, r *Registry, gs ...Grant) {
	t.Helper()
	for _, g := range gs {
		if err := r.Add(g); err != nil {
			t.Fatal(err)
		}
	}
}

func live(r *Registry) []string {
	var names []string
	r.All(func(g Grant, _ Uses) bool { names = append(names, g.Name); return true })
	slices.Sort(names)
	return names
}

func TestAGrantIsRedeemableUntilItEnds(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	add(t, r, sample("a", "token-a"), sample("b", "token-b"))
	g, ok := r.Redeemable("token-a")
	if diff := cmp.Diff(sample("a", "token-a"), g, cmpopts.IgnoreUnexported(Grant{})); !ok || diff != "" {
		t.Fatal(ok, diff)
	}
	if err := r.End(g); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Redeemable("token-a"); ok {
		t.Error("redeemable after its end")
	}
	if _, ok := r.Redeemable("token-b"); !ok {
		t.Error("another grant ended with it")
	}
	if err := r.End(g); err != nil {
		t.Errorf("ending twice: %v", err)
	}
}

func TestANewGrantOfAContainerEndsTheEarlierOne(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, 0)
	add(t, r, sample("a", "first"), sample("a", "second"))
	for _, r := range []*Registry{r, reopen(t, r, dir)} {
		if _, ok := r.Redeemable("first"); ok {
			t.Error("the earlier token still redeems")
		}
		if _, ok := r.Redeemable("second"); !ok {
			t.Error("the later token does not redeem")
		}
	}
}

func reopen(t *testing.T, r *Registry, dir string) *Registry {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir, 0)
}

func TestATokenExistsOnce(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	add(t, r, sample("a", "same"))
	if err := r.Add(sample("b", "same")); err == nil {
		t.Error("two containers share a token")
	}
}

// A kill at any instant leaves a prefix of the journal.
func TestEveryPrefixOfTheJournalOpensWithTheGrantsOfItsWholeLines(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, 0)
	add(t, r, sample("a", "ta"), sample("b", "tb"))
	if g, ok := r.Redeemable("ta"); ok {
		if err := r.End(g); err != nil {
			t.Fatal(err)
		}
	}
	add(t, r, sample("c", "tc"))
	journal, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{nil, {"g-a"}, {"g-a", "g-b"}, {"g-b"}, {"g-b", "g-c"}}
	// Every cut near a line's end, and a sample of those within lines.
	for n := range len(journal) + 1 {
		if near := bytes.IndexByte(journal[n:], '\n'); near > 2 && n%37 != 0 && (n == 0 || journal[n-1] != '\n') {
			continue
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalName), journal[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(journal[:n], []byte{'\n'})
		torn := 0
		if rest := n - (bytes.LastIndexByte(journal[:n], '\n') + 1); rest > 1 {
			torn = 1
		}
		r := open(t, dir, torn)
		if diff := cmp.Diff(want[lines], live(r)); diff != "" {
			t.Fatalf("after %d bytes: %s", n, diff)
		}
		// And the next grant is not glued to the torn line.
		add(t, r, sample("z", "tz"))
		if _, ok := reopen(t, r, dir).Redeemable("tz"); !ok {
			t.Fatalf("after %d bytes: the next grant was lost", n)
		}
	}
}

func TestADamagedLineCostsNoOtherGrant(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, 0)
	add(t, r, sample("a", "ta"), sample("b", "tb"), sample("c", "tc"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, journalName)
	journal, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(journal, []byte("g-b"))
	journal[i+2] = 'x' // another grant's name under b's checksum
	if err := os.WriteFile(path, journal, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"g-a", "g-c"}, live(open(t, dir, 1))); diff != "" {
		t.Error(diff)
	}
}

func TestTheJournalHoldsNoToken(t *testing.T) {
	dir := t.TempDir()
	add(t, open(t, dir, 0), sample("a", "a-very-secret-token"))
	journal, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(journal), "a-very-secret-token") {
		t.Error("the token is in the journal")
	}
}

func TestTheJournalStaysSmallHoweverManyContainersCome(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, 0)
	add(t, r, sample("keeps", "keeps"))
	for i := range 3 * slack {
		g := sample("x", fmt.Sprint(i))
		add(t, r, g)
		if err := r.End(g); err != nil {
			t.Fatal(err)
		}
	}
	journal, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(journal, []byte{'\n'}); n > 2*slack {
		t.Errorf("%d lines for one live grant", n)
	}
	if diff := cmp.Diff([]string{"g-keeps"}, live(reopen(t, r, dir))); diff != "" {
		t.Error(diff)
	}
}

func TestBeforeLeavesOutGrantsMadeAfterTheMark(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	add(t, r, sample("a", "ta"))
	other := sample("d", "td")
	other.Container.Runtime = "docker"
	add(t, r, other)
	mark := r.Mark()
	add(t, r, sample("b", "tb"))
	got := r.Before("containerd", mark)
	if len(got) != 1 || got[0].Name != "g-a" {
		t.Errorf("Before = %v", got)
	}
}

func TestUsesAreCounted(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	g := sample("a", "ta")
	add(t, r, g)
	at := time.Unix(9, 0)
	r.Released(g, at)
	r.Released(g, at)
	if _, uses, ok := r.Of(g.Container); !ok || uses.Releases != 2 || !uses.Last.Equal(at) {
		t.Errorf("uses = %v, %v", uses, ok)
	}
}

func TestConcurrentUseIsSafe(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				g := sample(fmt.Sprint(i), fmt.Sprintf("%d-%d", i, j))
				if err := r.Add(g); err != nil {
					t.Error(err)
					return
				}
				r.Redeemable(fmt.Sprintf("%d-%d", i, j))
				if err := r.End(g); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r.Len() != 0 {
		t.Errorf("%d grants left", r.Len())
	}
}

func FuzzAJournalOfAnyBytesOpens(f *testing.F) {
	line, err := encodeLine(operation{Add: &Grant{Name: "g"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(append([]byte("00000000 {}\n"), line...))
	f.Add([]byte(strings.Repeat("x", maxLine+10) + "\n"))
	f.Fuzz(func(t *testing.T, journal []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalName), journal, 0o600); err != nil {
			t.Fatal(err)
		}
		r, _, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close() //nolint:errcheck // the test is over
		if err := r.Add(sample("new", "new")); err != nil {
			t.Fatal(err)
		}
	})
}

// Budget (design §10): the agent is ready 500 ms after a start with 5,000 live grants.
func BenchmarkOpenWith5000Grants(b *testing.B) {
	dir := b.TempDir()
	r := open(b, dir, 0)
	for i := range 5000 {
		add(b, r, sample(fmt.Sprint(i), fmt.Sprint(i)))
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, _, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		_ = r.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/open")
	b.ReportMetric(500, "budget-ms")
}

func shared(container, token, name string) Grant {
	g := sample(container, token)
	g.Name, g.Place = name, "docker file://a.json"
	return g
}

func TestASharedTokenRedeemsUntilItsLastGrantEnds(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, 0)
	a, b := shared("a", "token", "g-a"), shared("b", "token", "g-b")
	add(t, r, a, b)
	if g, ok := r.Redeemable("token"); !ok || g.Name != "g-b" {
		t.Errorf("%v, %v", g, ok)
	}
	if err := r.End(b); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Registry{r, reopen(t, r, dir)} {
		if g, ok := r.Redeemable("token"); !ok || g.Name != "g-a" || r.Len() != 1 || len(r.Holders(Sum("token"))) != 1 {
			t.Errorf("%v, %v", g, ok)
		}
	}
	r = reopen(t, r, dir)
	if err := r.End(a); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Registry{r, reopen(t, r, dir)} {
		if _, ok := r.Redeemable("token"); ok || r.Len() != 0 {
			t.Error("it redeems for nobody")
		}
	}
}

func TestAContainerHoldsGrantsOfSeveralCopies(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, 0)
	add(t, r, shared("a", "first", "g-1"), shared("a", "second", "g-2"), shared("b", "second", "g-3"), shared("a", "second", "g-4"))
	check := func(r *Registry) {
		t.Helper()
		var names []string
		for _, g := range r.AllOf(sample("a", "").Container) {
			names = append(names, g.Name)
		}
		if diff := cmp.Diff([]string{"g-1", "g-4"}, names); diff != "" || r.Len() != 3 {
			t.Error(diff)
		}
		if g, _, _ := r.Of(sample("a", "").Container); g.Name != "g-4" {
			t.Errorf("the latest is %s", g.Name)
		}
	}
	check(r)
	check(reopen(t, r, dir))                               // from the journal
	check(reopen(t, reopen(t, open(t, dir, 0), dir), dir)) // and from one that was compacted
	// A grant of its own ends them all.
	r = open(t, dir, 0)
	add(t, r, sample("a", "own"))
	if _, ok := r.Redeemable("first"); ok || r.Len() != 2 {
		t.Error("an earlier document redeems")
	}
}

func TestATokenIsOfOnePlace(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	add(t, r, shared("a", "token", "g-a"))
	other := shared("b", "token", "g-b")
	other.Place = "docker file://b.json"
	if r.Add(other) == nil || r.Add(sample("c", "token")) == nil {
		t.Error("two places share a token")
	}
}
