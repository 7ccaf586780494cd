package secrets_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

var contoso = secretstest.Named("contoso")

// gate makes the store's fetches wait until it is opened or they are cancelled.
type gate chan struct{}

func (g gate) wait(ctx context.Context, _ secrets.Ref) error {
	select {
	case <-g:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", fault.ErrUnavailable, ctx.Err())
	}
}

// mood is what a store answers to all instead of a credential, if it is not nil.
type mood struct {
	mu  sync.Mutex
	err error
}

func (m *mood) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *mood) answer(context.Context, secrets.Ref) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func newMemory() *secretstest.Memory {
	m := secretstest.NewMemory()
	m.Put(contoso, secretstest.New("contoso.com", "svc", "Passw0rd!"))
	return m
}

// kept wraps a store and remembers the bytes that it gave out, to see them
// overwritten.
type kept struct {
	secrets.Store
	mu    sync.Mutex
	given [][]byte
}

func (k *kept) Fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	c, err := k.Store.Fetch(ctx, ref)
	if err == nil {
		own := secrets.New(bytes.Clone(c.Password.Bytes()))
		c.Wipe()
		c.Password = own
		k.mu.Lock()
		k.given = append(k.given, own.Bytes())
		k.mu.Unlock()
	}
	return c, err
}

// overwritten says how many passwords were given out, and how many of them are
// nowhere any more.
func (k *kept) overwritten() (n, of int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.given {
		if bytes.Count(b, []byte{0}) == len(b) {
			n++
		}
	}
	return n, len(k.given)
}

func fetchPassword(t *testing.T, s secrets.Store, ref secrets.Ref) string {
	t.Helper()
	c, err := s.Fetch(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Wipe()
	return string(c.Password.Bytes())
}

func TestCacheConforms(t *testing.T) {
	secretstest.Run(t, func(t *testing.T) secretstest.Backend {
		m := secretstest.NewMemory()
		c := secrets.NewCache(m)
		t.Cleanup(func() { _ = c.Close() })
		return secretstest.Backend{
			Store:  c,
			Ref:    secretstest.Named,
			Put:    func(name string, c *secrets.Credential) error { m.Put(secretstest.Named(name), c); return nil },
			Remove: func(name string) error { m.Remove(secretstest.Named(name)); return nil },
			Damage: func(name string) error { m.Damage(secretstest.Named(name)); return nil },
		}
	})
}

func TestManyColdFetchesAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newMemory(), make(gate)
		m.OnFetch = g.wait
		c := secrets.NewCache(m)
		defer c.Close()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if got := fetchPassword(t, c, contoso); got != "Passw0rd!" {
					t.Errorf("fetched %q", got)
				}
			})
		}
		synctest.Wait()
		close(g)
		wg.Wait()
		if n := m.Fetches(); n != 1 {
			t.Errorf("%d fetches from the store", n)
		}
		if s := c.Stats(); s.Misses != 100 || s.Stores["local"].Joined != 99 || s.Hits != 0 || s.Entries != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestOneCallersEndDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newMemory(), make(gate)
		m.OnFetch = g.wait
		c := secrets.NewCache(m)
		defer c.Close()

		first, cancel := context.WithCancelCause(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, err := c.Fetch(first, contoso)
			gone <- err
		}()
		synctest.Wait()
		second := make(chan error, 1)
		go func() {
			_, err := c.Fetch(t.Context(), contoso)
			second <- err
		}()
		synctest.Wait()

		why := errors.New("the container is gone")
		cancel(why)
		if err := <-gone; !errors.Is(err, why) || !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("the caller that left got %v", err)
		}
		close(g)
		if err := <-second; err != nil {
			t.Errorf("the caller that stayed got %v", err)
		}
		if n := m.Fetches(); n != 1 {
			t.Errorf("%d fetches from the store", n)
		}
	})
}

func TestAFetchThatNobodyWaitsForIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		ended := make(chan struct{}, 2)
		m.OnFetch = func(ctx context.Context, _ secrets.Ref) error {
			<-ctx.Done()
			ended <- struct{}{}
			return fmt.Errorf("%w: %w", fault.ErrUnavailable, ctx.Err())
		}
		c := secrets.NewCache(m)
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		if _, err := c.Fetch(ctx, contoso); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		<-ended
		synctest.Wait()
		m.OnFetch = nil
		// The next caller must not be told of it.
		if got := fetchPassword(t, c, contoso); got != "Passw0rd!" {
			t.Errorf("fetched %q", got)
		}
		if s := c.Stats().Stores["local"]; s.Failures != 0 || s.LastError != "" {
			t.Errorf("a cancelled fetch is held against the store: %+v", s)
		}
	})
}

func TestAStoreThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.OnFetch = make(gate).wait
		c := secrets.NewCache(m, secrets.WithFetchTimeout(7*time.Second))
		defer c.Close()
		start := time.Now()
		_, err := c.Fetch(t.Context(), contoso)
		if !errors.Is(err, fault.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 7*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestCacheKeepsForItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := secrets.NewCache(m, secrets.WithTimes(secrets.Times{TTL: 9 * time.Second}.Of)) // too short for a refresh
		defer c.Close()
		fetchPassword(t, c, contoso)
		time.Sleep(8 * time.Second)
		fetchPassword(t, c, contoso)
		if n := m.Fetches(); n != 1 {
			t.Errorf("%d fetches within the TTL", n)
		}
		time.Sleep(time.Second)
		fetchPassword(t, c, contoso)
		if n := m.Fetches(); n != 2 {
			t.Errorf("%d fetches after the TTL: a use must not extend it", n)
		}
	})
}

func TestATTLOfZeroAsksEveryTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{Store: newMemory()}
		c := secrets.NewCache(k, secrets.WithTimes(secrets.Times{}.Of))
		defer c.Close()
		fetchPassword(t, c, contoso)
		fetchPassword(t, c, contoso)
		synctest.Wait()
		if n, of := k.overwritten(); n != 2 || of != 2 || c.Stats().Entries != 0 {
			t.Errorf("%d of %d overwritten, %d entries", n, of, c.Stats().Entries)
		}
	})
}

func TestWhatIsTooOldIsOverwrittenThoughNobodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{Store: newMemory()}
		c := secrets.NewCache(k, secrets.WithTimes(secrets.Times{TTL: 9 * time.Second}.Of)) // too short for a refresh
		defer c.Close()
		mine, err := c.Fetch(t.Context(), contoso)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		fabrikam := secretstest.Named("fabrikam")
		k.Store.(*secretstest.Memory).Put(fabrikam, secretstest.New("fabrikam.com", "svc", "x"))
		fetchPassword(t, c, fabrikam)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := c.Stats().Entries; n != 1 {
			t.Errorf("%d entries after the first one's TTL", n)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := c.Stats().Entries; n != 0 {
			t.Errorf("%d entries after both TTLs", n)
		}
		if string(mine.Password.Bytes()) != "Passw0rd!" {
			t.Error("a caller's credential was wiped")
		}
		mine.Wipe()
		if n, of := k.overwritten(); n != 2 || of != 2 {
			t.Errorf("%d of %d overwritten", n, of)
		}
	})
}

func TestCacheIsBoundedAndEvictsWhatWasNotUsed(t *testing.T) {
	m := secretstest.NewMemory()
	c := secrets.NewCache(m, secrets.WithSize(2))
	defer c.Close()
	refs := []secrets.Ref{secretstest.Named("a"), secretstest.Named("b"), secretstest.Named("c")}
	for _, r := range refs {
		m.Put(r, secretstest.New("contoso.com", "svc", r.Rest))
	}
	fetchPassword(t, c, refs[0])
	fetchPassword(t, c, refs[1])
	fetchPassword(t, c, refs[0])
	fetchPassword(t, c, refs[2]) // evicts b
	if s := c.Stats(); s.Entries != 2 || s.Evictions != 1 {
		t.Errorf("stats: %+v", s)
	}
	n := m.Fetches()
	fetchPassword(t, c, refs[0])
	if m.Fetches() != n {
		t.Error("what was used last was evicted")
	}
	fetchPassword(t, c, refs[1])
	if m.Fetches() != n+1 {
		t.Error("what was not used for longest was kept")
	}
}

func TestCacheGivesOutNothingThatWasReplacedBefore(t *testing.T) {
	m := newMemory()
	c := secrets.NewCache(m)
	defer c.Close()
	fetchPassword(t, c, contoso)
	m.Put(contoso, secretstest.New("contoso.com", "svc", "N3w"))
	if got := fetchPassword(t, c, contoso); got != "N3w" {
		t.Errorf("fetched %q", got)
	}
	m.Remove(contoso)
	if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("after removal: %v", err)
	}
	if n := c.Stats().Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}

// late is a store whose fetch looks first and is slow to answer.
type late struct {
	*secretstest.Memory
	looked chan struct{}
	answer chan struct{}
}

func (l *late) Fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	c, err := l.Memory.Fetch(ctx, ref)
	l.looked <- struct{}{}
	<-l.answer
	return c, err
}

func TestJoiningAFetchDoesNotGetWhatWasReplacedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &late{newMemory(), make(chan struct{}, 2), make(chan struct{}, 2)}
		c := secrets.NewCache(l)
		defer c.Close()
		var wg sync.WaitGroup
		wg.Go(func() { fetchPassword(t, c, contoso) }) // may get either
		<-l.looked
		l.Put(contoso, secretstest.New("contoso.com", "svc", "N3w"))
		wg.Go(func() {
			if got := fetchPassword(t, c, contoso); got != "N3w" {
				t.Errorf("fetched %q after it was replaced", got)
			}
		})
		synctest.Wait()
		l.answer <- struct{}{}
		l.answer <- struct{}{}
		wg.Wait()
	})
}

func TestForgetDropsWhatIsKeptAndWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &late{newMemory(), make(chan struct{}, 3), make(chan struct{}, 3)}
		c := secrets.NewCache(plain{l}) // not a Verifier
		defer c.Close()
		l.answer <- struct{}{}
		fetchPassword(t, c, contoso)
		<-l.looked
		l.Put(contoso, secretstest.New("contoso.com", "svc", "N3w"))
		if got := fetchPassword(t, c, contoso); got != "Passw0rd!" {
			t.Fatalf("not cached: %q", got)
		}
		c.Forget(contoso)
		var wg sync.WaitGroup
		wg.Go(func() { fetchPassword(t, c, contoso) })
		<-l.looked
		l.Put(contoso, secretstest.New("contoso.com", "svc", "N3wer"))
		c.Forget(contoso)
		l.answer <- struct{}{}
		wg.Wait()
		l.answer <- struct{}{}
		if got := fetchPassword(t, c, contoso); got != "N3wer" {
			t.Errorf("fetched %q", got)
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	m := secretstest.NewMemory()
	c := secrets.NewCache(m)
	defer c.Close()
	if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, fault.ErrNotFound) {
		t.Fatal(err)
	}
	m.Put(contoso, secretstest.New("contoso.com", "svc", "x"))
	if got := fetchPassword(t, c, contoso); got != "x" {
		t.Errorf("fetched %q", got)
	}
}

var errDown = fmt.Errorf("%w: connection refused", fault.ErrUnavailable)

func TestStaleIsOffUnlessSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMemory(), &mood{}
		m.OnFetch = store.answer
		c := secrets.NewCache(m, secrets.WithTimes(secrets.Times{TTL: time.Minute}.Of))
		defer c.Close()
		fetchPassword(t, c, contoso)
		store.set(errDown)
		time.Sleep(30 * time.Second)
		fetchPassword(t, c, contoso)
		time.Sleep(30 * time.Second)
		if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, errDown) {
			t.Errorf("got %v", err)
		}
	})
}

func TestStaleIsServedOnlyWhileTheStoreIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMemory(), &mood{}
		m.OnFetch = store.answer
		c := secrets.NewCache(plain{m}, secrets.WithTimes(secrets.Times{TTL: time.Minute, Stale: time.Hour}.Of))
		defer c.Close()
		asked := time.Now()
		fetchPassword(t, c, contoso)
		store.set(errDown)
		time.Sleep(10 * time.Minute)
		cred, err := c.Fetch(t.Context(), contoso)
		if err != nil {
			t.Fatal(err)
		}
		if string(cred.Password.Bytes()) != "Passw0rd!" || !errors.Is(cred.Stale, errDown) || !cred.Asked.Equal(asked) {
			t.Errorf("fetched %v of %v, stale because of %v", cred, cred.Asked, cred.Stale)
		}
		if s := c.Stats().Stores["local"]; s.Stale != 1 || !s.LastStale.Equal(time.Now()) || !strings.Contains(s.LastError, "connection refused") {
			t.Errorf("stats: %+v", s)
		}
		store.set(fault.ErrDenied)
		time.Sleep(secrets.Pause)
		if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("a refusal is answered with %v", err)
		}
		store.set(errDown)
		if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, errDown) {
			t.Errorf("after a refusal: %v", err)
		}

		store.set(nil)
		time.Sleep(secrets.Pause)
		if cred, err := c.Fetch(t.Context(), contoso); err != nil || cred.Stale != nil {
			t.Errorf("the store is back: %v, %v", cred, err)
		}
		store.set(errDown)
		time.Sleep(61 * time.Minute)
		if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, errDown) {
			t.Errorf("beyond the stale time: %v", err)
		}
	})
}

func TestStaleIsNotServedWhenTheStoreKnowsBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMemory(), &mood{}
		m.OnFetch = store.answer
		c := secrets.NewCache(m, secrets.WithTimes(secrets.Times{TTL: time.Minute, Stale: time.Hour}.Of))
		defer c.Close()
		fetchPassword(t, c, contoso)
		store.set(errDown)
		time.Sleep(2 * time.Minute)
		m.Put(contoso, secretstest.New("contoso.com", "svc", "N3w"))
		if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, errDown) {
			t.Errorf("got %v", err)
		}
	})
}

// With a TTL of zero and a stale time the store is asked every time, and what it
// gave last is for when it is down.
func TestStaleWithoutATTLAsksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMemory(), &mood{}
		m.OnFetch = store.answer
		c := secrets.NewCache(plain{m}, secrets.WithTimes(secrets.Times{Stale: time.Hour}.Of))
		defer c.Close()
		fetchPassword(t, c, contoso)
		m.Put(contoso, secretstest.New("contoso.com", "svc", "N3w"))
		if got := fetchPassword(t, c, contoso); got != "N3w" {
			t.Errorf("fetched %q", got)
		}
		store.set(errDown)
		if cred, err := c.Fetch(t.Context(), contoso); err != nil || cred.Stale == nil || string(cred.Password.Bytes()) != "N3w" {
			t.Errorf("got %v, %v", cred, err)
		}
	})
}

func TestEachStoreHasTimesOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMemory(), &mood{}
		m.OnFetch = store.answer
		vault := secrets.Ref{Scheme: "vault", Rest: "kv/contoso"}
		m.Put(vault, secretstest.New("contoso.com", "svc", "x"))
		c := secrets.NewCache(plain{m}, secrets.WithTimes(func(scheme string) secrets.Times {
			if scheme == "vault" {
				return secrets.Times{TTL: time.Minute, Stale: time.Minute}
			}
			return secrets.Times{TTL: 10 * time.Minute}
		}))
		defer c.Close()
		fetchPassword(t, c, contoso)
		fetchPassword(t, c, vault)
		store.set(errDown)
		for _, step := range []struct {
			at                    time.Duration
			local, vault, isStale bool
		}{
			{59 * time.Second, true, true, false},
			{61 * time.Second, true, true, true},
			{121 * time.Second, true, false, false},
			{601 * time.Second, false, false, false},
		} {
			time.Sleep(step.at - time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
			cred, err := c.Fetch(t.Context(), vault)
			if (err == nil) != step.vault || err == nil && (cred.Stale != nil) != step.isStale {
				t.Errorf("vault after %v: %v, %v", step.at, cred, err)
			}
			if _, err := c.Fetch(t.Context(), contoso); (err == nil) != step.local {
				t.Errorf("local after %v: %v", step.at, err)
			}
		}
	})
}

func TestAPanicOfAStoreIsAnErrorWithoutWhatItSays(t *testing.T) {
	m := newMemory()
	m.OnFetch = func(context.Context, secrets.Ref) error { panic("C4nary in the response") }
	c := secrets.NewCache(m)
	defer c.Close()
	_, err := c.Fetch(t.Context(), contoso)
	if !errors.Is(err, fault.ErrUnavailable) || strings.Contains(err.Error(), "C4nary") {
		t.Errorf("got %v", err)
	}
	m.OnFetch = nil
	c.Forget(contoso)
	fetchPassword(t, c, contoso)
}

type nothing struct{}

func (nothing) Fetch(context.Context, secrets.Ref) (*secrets.Credential, error) { return nil, nil }

func TestAStoreThatAnswersNothingIsAnError(t *testing.T) {
	c := secrets.NewCache(nothing{})
	defer c.Close()
	if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestCloseOverwritesEverything(t *testing.T) {
	k := &kept{Store: newMemory()}
	c := secrets.NewCache(k)
	fetchPassword(t, c, contoso)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n, of := k.overwritten(); n != 1 || of != 1 || c.Stats().Entries != 0 {
		t.Errorf("%d of %d overwritten, %d entries after Close", n, of, c.Stats().Entries)
	}
	if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestStatsNameTheStoresStateByScheme(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := secrets.NewCache(m)
		defer c.Close()
		start := time.Now()
		fetchPassword(t, c, contoso)
		time.Sleep(time.Second)
		long := strings.Repeat("ä", 600)
		m.OnFetch = func(context.Context, secrets.Ref) error { return fmt.Errorf("%w: %s", fault.ErrUnavailable, long) }
		_, _ = c.Fetch(t.Context(), secrets.Ref{Scheme: "vault", Rest: "kv/x"})
		s := c.Stats()
		if l := s.Stores["local"]; l.Fetches != 1 || l.Failures != 0 || !l.LastSuccess.Equal(start) || l.LastError != "" {
			t.Errorf("local: %+v", l)
		}
		if v := s.Stores["vault"]; v.Fetches != 1 || v.Failures != 1 || !v.LastFailure.Equal(start.Add(time.Second)) || !v.LastSuccess.IsZero() ||
			!strings.Contains(v.LastError, "vault://kv/x") || len(v.LastError) > 520 {
			t.Errorf("vault: %+v", v)
		}
	})
}

// TestCacheUnderLoad has nothing to say but what the race detector does.
func TestCacheUnderLoad(t *testing.T) {
	m := secretstest.NewMemory()
	c := secrets.NewCache(m, secrets.WithSize(3), secrets.WithTimes(secrets.Times{TTL: time.Millisecond}.Of))
	defer c.Close()
	var refs []secrets.Ref
	for i := range 6 {
		refs = append(refs, secretstest.Named(fmt.Sprint("s", i)))
		m.Put(refs[i], secretstest.New("contoso.com", "svc", "Passw0rd!"))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				ref := refs[(g*7+i)%len(refs)]
				ctx, cancel := context.WithCancel(t.Context())
				switch i % 10 {
				case 3:
					c.Forget(ref)
				case 5:
					m.Put(ref, secretstest.New("contoso.com", "svc", "Passw0rd!"))
				case 7:
					go cancel()
				}
				cred, err := c.Fetch(ctx, ref)
				if err == nil && string(cred.Password.Bytes()) != "Passw0rd!" {
					t.Error("a credential was wiped while its holder used it")
				}
				if err != nil && i%10 != 7 {
					t.Error(err)
				}
				cred.Wipe()
				cancel()
			}
		})
	}
	wg.Wait()
}

func BenchmarkCacheHit(b *testing.B) {
	c := secrets.NewCache(newMemory())
	defer c.Close()
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			cred, err := c.Fetch(ctx, contoso)
			if err != nil {
				b.Fatal(err)
			}
			cred.Wipe()
		}
	})
}

// BenchmarkColdStart is N containers that start at once with the same secret.
func BenchmarkColdStart(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := newMemory()
			for b.Loop() {
				c := secrets.NewCache(m)
				arrived := make(chan struct{}, n)
				g := make(gate)
				m.OnFetch = g.wait
				var wg sync.WaitGroup
				for range n {
					wg.Go(func() {
						arrived <- struct{}{}
						cred, err := c.Fetch(b.Context(), contoso)
						if err != nil {
							b.Error(err)
						}
						cred.Wipe()
					})
				}
				for range n {
					<-arrived
				}
				close(g)
				wg.Wait()
				_ = c.Close()
			}
			b.ReportMetric(float64(m.Fetches())/float64(b.N), "fetches/op")
		})
	}
}
