package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// newTimed returns a cache of the memory that cannot ask whether a version is
// current, as in front of most stores.
func newTimed(t *testing.T, m *secretstest.Memory, times secrets.Times) *secrets.Cache {
	c := secrets.NewCache(plain{m}, secrets.WithTimes(times.Of))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestWhatIsInUseIsFetchedAgainBeforeItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newTimed(t, m, secrets.Times{TTL: 10 * time.Minute})
		fetchPassword(t, c, contoso)
		m.Put(contoso, secretstest.New("contoso.com", "svc", "N3w"))
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		if n := m.Fetches(); n != 1 {
			t.Errorf("%d fetches after 7 of 10 minutes", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := m.Fetches(); n != 2 {
			t.Errorf("%d fetches after 9 of 10 minutes", n)
		}
		if got := fetchPassword(t, c, contoso); got != "N3w" {
			t.Errorf("fetched %q after the refresh", got)
		}
		for range 20 {
			time.Sleep(3 * time.Minute)
			fetchPassword(t, c, contoso)
		}
		if s := c.Stats().Stores["local"]; s.Misses != 1 || s.Hits != 21 || s.Refreshes != s.Fetches-1 || s.Refreshes < 6 || s.Refreshes > 9 {
			t.Errorf("in an hour: %+v", s)
		}
	})
}

func TestWhatIsNotUsedIsNotRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newTimed(t, m, secrets.Times{TTL: 10 * time.Minute})
		fetchPassword(t, c, contoso)
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := c.Stats(); s.Entries != 0 || s.Stores["local"].Refreshes != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAUseAfterTheTimeOfARefreshMakesUpForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newTimed(t, m, secrets.Times{TTL: 10 * time.Minute})
		fetchPassword(t, c, contoso)
		time.Sleep(8*time.Minute + 31*time.Second) // refreshed for its first use
		synctest.Wait()
		refreshed := c.Stats().Stores["local"].LastSuccess
		time.Sleep(8*time.Minute + 31*time.Second - time.Since(refreshed))
		synctest.Wait()
		if n := m.Fetches(); n != 2 {
			t.Fatalf("%d fetches", n)
		}
		fetchPassword(t, c, contoso)
		synctest.Wait()
		if s := c.Stats().Stores["local"]; s.Refreshes != 2 || s.Misses != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAFailedRefreshLeavesTheCredentialUntilItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMemory(), &mood{}
		m.OnFetch = store.answer
		c := newTimed(t, m, secrets.Times{TTL: 10 * time.Minute})
		fetchPassword(t, c, contoso)
		store.set(errDown)
		for range 19 {
			time.Sleep(30 * time.Second)
			if cred, err := c.Fetch(t.Context(), contoso); err != nil || cred.Stale != nil {
				t.Fatalf("%v, %v", cred, err)
			}
		}
		synctest.Wait()
		if n := m.Fetches(); n < 2 || n > 8 {
			t.Errorf("%d fetches", n)
		}
		store.set(nil)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		store.set(errDown)
		time.Sleep(time.Minute)
		if _, err := c.Fetch(t.Context(), contoso); err != nil {
			t.Errorf("the store was up again before the credential's time was over: %v", err)
		}
	})
}

func TestARefreshThatIsRefusedEndsTheUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{Store: newMemory()}
		store := &mood{}
		k.Store.(*secretstest.Memory).OnFetch = store.answer
		c := secrets.NewCache(k, secrets.WithTimes(secrets.Times{TTL: 10 * time.Minute, Stale: time.Hour}.Of))
		defer c.Close()
		fetchPassword(t, c, contoso)
		store.set(fault.ErrDenied)
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if n, of := k.overwritten(); n != 1 || of != 1 || c.Stats().Entries != 0 {
			t.Errorf("%d of %d overwritten, %d entries", n, of, c.Stats().Entries)
		}
		if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("got %v", err)
		}
	})
}

// slow is a store's hook that lets nothing through for a while once it is set.
type slow struct {
	takes time.Duration
	is    atomic.Bool

	mu                     sync.Mutex
	under, most, cancelled int
}

func (s *slow) add(under, cancelled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under += under
	s.most = max(s.most, s.under)
	s.cancelled += cancelled
}

// counts are how many fetches are under way, were at most, and were cancelled.
func (s *slow) counts() (under, most, cancelled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.under, s.most, s.cancelled
}

func (s *slow) wait(ctx context.Context, _ secrets.Ref) error {
	if !s.is.Load() {
		return nil
	}
	s.add(1, 0)
	select {
	case <-time.After(s.takes):
		s.add(-1, 0)
		return nil
	case <-ctx.Done():
		s.add(-1, 1)
		return fmt.Errorf("%w: %w", fault.ErrUnavailable, ctx.Err())
	}
}

// newBusy returns a cache that has fetched 20 secrets from a store that is slow
// from then on.
func newBusy(t *testing.T, store *slow) *secrets.Cache {
	m := secretstest.NewMemory()
	m.OnFetch = store.wait
	c := newTimed(t, m, secrets.Times{TTL: time.Hour})
	for i := range 20 {
		ref := secretstest.Named(fmt.Sprint("s", i))
		m.Put(ref, secretstest.New("contoso.com", "svc", "x"))
		fetchPassword(t, c, ref)
	}
	store.is.Store(true)
	return c
}

func TestFewRefreshesAreUnderWayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{takes: 20 * time.Second}
		c := newBusy(t, store)
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		_, most, _ := store.counts()
		if n := c.Stats().Stores["local"].Refreshes; most > 4 || n != 20 {
			t.Errorf("%d at once, %d in all", most, n)
		}
	})
}

func TestCloseEndsTheRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{takes: 25 * time.Minute}
		c := newBusy(t, store)
		under := 0
		for under == 0 {
			time.Sleep(time.Second)
			synctest.Wait()
			under, _, _ = store.counts()
		}
		_ = c.Close()
		time.Sleep(2 * time.Hour)
		if left, _, cancelled := store.counts(); cancelled != under || left != 0 {
			t.Errorf("%d were under way, %d were cancelled, %d are left", under, cancelled, left)
		}
	})
}

func TestAnExpiredCredentialIsNotGivenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := secretstest.NewMemory(), &mood{}
		m.OnFetch = store.answer
		lease := secretstest.New("contoso.com", "svc", "x")
		lease.Expires = time.Now().Add(5 * time.Minute)
		m.Put(contoso, lease)
		c := newTimed(t, m, secrets.Times{TTL: time.Hour, Stale: time.Hour})
		fetchPassword(t, c, contoso)
		time.Sleep(4*time.Minute + 30*time.Second)
		synctest.Wait()
		if s := c.Stats().Stores["local"]; s.Refreshes == 0 || s.Misses != 1 {
			t.Errorf("no refresh ahead of the end: %+v", s)
		}
		store.set(errDown)
		fetchPassword(t, c, contoso)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := c.Stats().Entries; n != 0 {
			t.Errorf("%d entries", n)
		}
		if cred, err := c.Fetch(t.Context(), contoso); !errors.Is(err, errDown) {
			t.Errorf("though the store is down it is not given out: %v, %v", cred, err)
		}
	})
}

// Two hundred containers start while the password is rotated.
func TestRotationWhileManyFetch(t *testing.T) {
	for name, tells := range map[string]bool{"the store tells": true, "the store cannot tell": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.OnFetch = func(context.Context, secrets.Ref) error { time.Sleep(300 * time.Millisecond); return nil }
				var store secrets.Store = plain{m}
				if tells {
					store = m
				}
				c := secrets.NewCache(store, secrets.WithTimes(secrets.Times{TTL: 9 * time.Second}.Of)) // no refreshes
				defer c.Close()
				var mu sync.Mutex
				seen := map[string]int{}
				var wg sync.WaitGroup
				for i := range 200 {
					wg.Go(func() {
						time.Sleep(time.Duration(i) * 60 * time.Millisecond)
						cred, err := c.Fetch(t.Context(), contoso)
						if err != nil {
							t.Error(err)
							return
						}
						defer cred.Wipe()
						mu.Lock()
						defer mu.Unlock()
						seen[cred.Version+" "+string(cred.Password.Bytes())]++
					})
				}
				time.Sleep(6 * time.Second)
				m.Put(contoso, secretstest.New("contoso.com", "svc", "N3w"))
				wg.Wait()
				if n := m.Fetches(); n != 2 {
					t.Errorf("%d fetches of two versions", n)
				}
				if len(seen) != 2 || seen["1 Passw0rd!"]+seen["2 N3w"] != 200 || seen["2 N3w"] < 20 {
					t.Errorf("seen: %v", seen)
				}
			})
		})
	}
}
