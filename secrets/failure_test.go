package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// throttled is what a store says that has had enough.
type throttled struct{ wait time.Duration }

func (throttled) Error() string               { return "429 Too Many Requests" }
func (throttled) Unwrap() error               { return fault.ErrUnavailable }
func (t throttled) RetryAfter() time.Duration { return t.wait }

func TestAStoreThatIsDownIsNotAskedByOneAfterTheOther(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		pause time.Duration
	}{
		"it does not answer":             {errDown, secrets.Pause},
		"it says when to ask again":      {throttled{7 * time.Second}, 7 * time.Second},
		"it wants to be asked at once":   {throttled{-time.Hour}, secrets.Pause},
		"it wants to be asked next week": {throttled{7 * 24 * time.Hour}, secrets.MaxPause},
		"the SDK has wrapped it":         {fmt.Errorf("get secret: %w", throttled{7 * time.Second}), 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, store := newMemory(), &mood{}
				m.OnFetch = store.answer
				c := newTimed(t, m, secrets.Times{TTL: time.Minute})
				store.set(test.err)
				for range 200 {
					if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, test.err) {
						t.Fatalf("got %v", err)
					}
				}
				other := secretstest.Named("other")
				if _, err := c.Fetch(t.Context(), other); !errors.Is(err, test.err) {
					t.Errorf("got %v", err)
				}
				if n := m.Fetches(); n != 2 {
					t.Errorf("%d fetches of two references", n)
				}
				store.set(nil)
				time.Sleep(test.pause - time.Nanosecond)
				if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, test.err) {
					t.Errorf("before it is over: %v", err)
				}
				time.Sleep(time.Nanosecond)
				fetchPassword(t, c, contoso)
				if s := c.Stats().Stores["local"]; s.Failures != 2 || s.Fetches != 3 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestARefusalIsNotRemembered(t *testing.T) {
	for _, refusal := range []error{fault.ErrDenied, fault.ErrNotFound, fault.ErrMalformed, errors.ErrUnsupported} {
		m, store := newMemory(), &mood{}
		m.OnFetch = store.answer
		store.set(refusal)
		c := secrets.NewCache(m)
		if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, refusal) {
			t.Errorf("got %v", err)
		}
		store.set(nil)
		fetchPassword(t, c, contoso)
		_ = c.Close()
	}
}

func TestForgetEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newMemory(), &mood{}
		m.OnFetch = store.answer
		c := newTimed(t, m, secrets.Times{TTL: time.Minute})
		store.set(errDown)
		if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, errDown) {
			t.Errorf("got %v", err)
		}
		store.set(nil)
		c.Forget(contoso)
		fetchPassword(t, c, contoso)
	})
}

// A store that does not answer at all is not waited for by who could have what
// it gave before.
func TestWhoCanHaveWhatTheStoreGaveBeforeWaitsAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newMemory(), make(gate)
		c := newTimed(t, m, secrets.Times{TTL: time.Minute, Stale: time.Hour})
		fetchPassword(t, c, contoso)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		m.OnFetch = g.wait
		m.Put(contoso, secretstest.New("contoso.com", "svc", "N3w"))
		fetches := m.Fetches()
		for i, waits := range []time.Duration{secrets.Patience, 0, 0} {
			start := time.Now()
			cred, err := c.Fetch(t.Context(), contoso)
			if err != nil || !errors.Is(cred.Stale, fault.ErrUnavailable) || string(cred.Password.Bytes()) != "Passw0rd!" {
				t.Fatalf("%v, %v", cred, err)
			}
			if took := time.Since(start); took != waits {
				t.Errorf("the caller %d waited %v", i, took)
			}
		}
		// The answer is not lost, and there was one question.
		close(g)
		synctest.Wait()
		cred, err := c.Fetch(t.Context(), contoso)
		if err != nil || cred.Stale != nil || string(cred.Password.Bytes()) != "N3w" || m.Fetches() != fetches+1 {
			t.Errorf("%v, %v, %d fetches", cred, err, m.Fetches()-fetches)
		}
	})
}

// CCG gives up earlier than a fetch may take, and asks again.
func TestAFetchGoesOnWhenTheCallersTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.OnFetch = func(context.Context, secrets.Ref) error { time.Sleep(12 * time.Second); return nil }
		c := newTimed(t, m, secrets.Times{TTL: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := c.Fetch(ctx, contoso); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 9*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if got := fetchPassword(t, c, contoso); got != "Passw0rd!" || time.Since(start) != 12*time.Second || m.Fetches() != 1 {
			t.Errorf("after %v: %q, %d fetches", time.Since(start), got, m.Fetches())
		}
	})
}
