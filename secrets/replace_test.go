package secrets_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

var inVault = secrets.Ref{Scheme: "vault", Rest: "kv/contoso"}

func onlyLocal(scheme string) bool { return scheme == "local" }

// twoStores has a secret of two schemes, whose password is the same.
func twoStores(password string) *secretstest.Memory {
	m := secretstest.NewMemory()
	m.Put(contoso, secretstest.New("contoso.com", "svc", password))
	m.Put(inVault, secretstest.New("contoso.com", "svc", password))
	return m
}

func TestReplaceKeepsWhatWasFetchedFromUnchangedStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, after := twoStores("before"), twoStores("after")
		c := newTimed(t, before, secrets.Times{TTL: time.Minute})
		fetchPassword(t, c, contoso)
		fetchPassword(t, c, inVault)
		c.Replace(plain{after}, secrets.Times{TTL: 9 * time.Second}.Of, onlyLocal)
		if got := fetchPassword(t, c, contoso); got != "before" {
			t.Errorf("the unchanged store's secret was fetched again: %q", got)
		}
		if got := fetchPassword(t, c, inVault); got != "after" {
			t.Errorf("the changed store's secret is %q", got)
		}
		time.Sleep(9 * time.Second)
		if got := fetchPassword(t, c, contoso); got != "after" {
			t.Errorf("the new times are not applied: %q", got)
		}
	})
}

func TestReplaceForgetsWhatIsOnItsWayFromAChangedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, g := twoStores("before"), make(gate)
		before.OnFetch = g.wait
		c := newTimed(t, before, secrets.Times{TTL: time.Minute})
		got := make(chan string)
		go func() { got <- fetchPassword(t, c, inVault) }()
		synctest.Wait()
		c.Replace(plain{twoStores("after")}, secrets.Times{TTL: time.Minute}.Of, onlyLocal)
		if got := fetchPassword(t, c, inVault); got != "after" {
			t.Errorf("fetched %q", got)
		}
		close(g)
		if got := <-got; got != "before" {
			t.Errorf("who waited for it got %q", got)
		}
		if got := fetchPassword(t, c, inVault); got != "after" {
			t.Errorf("then %q was fetched", got)
		}
	})
}

func TestReplaceEndsThePauseOfAChangedStoreOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, down := twoStores("before"), &mood{}
		before.OnFetch = down.answer
		down.set(throttled{time.Hour})
		c := newTimed(t, before, secrets.Times{TTL: time.Minute})
		for _, ref := range []secrets.Ref{contoso, inVault} {
			if _, err := c.Fetch(t.Context(), ref); !errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("%s: %v", ref, err)
			}
		}
		c.Replace(plain{twoStores("after")}, secrets.Times{TTL: time.Minute}.Of, onlyLocal)
		fetchPassword(t, c, inVault)
		if _, err := c.Fetch(t.Context(), contoso); !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("a store that wants a pause is asked: %v", err)
		}
	})
}

// closing is a store that holds something open.
type closing struct {
	secrets.Store
	closed int
}

func (c *closing) Close() error {
	c.closed++
	return nil
}

func TestAMuxInheritsUnchangedStores(t *testing.T) {
	oldLocal, oldVault, newLocal, newVault := &closing{}, &closing{}, &closing{}, &closing{}
	before := secrets.NewMux(map[string]secrets.Store{"local": oldLocal, "vault": oldVault, "awsssm": plain{}})
	merged, retired := secrets.NewMux(map[string]secrets.Store{"local": newLocal, "vault": newVault}).Inherit(before, onlyLocal)
	if err := retired.Close(); err != nil {
		t.Fatal(err)
	}
	if oldLocal.closed != 0 || oldVault.closed != 1 || newLocal.closed != 1 || newVault.closed != 0 {
		t.Errorf("closed: %d %d %d %d", oldLocal.closed, oldVault.closed, newLocal.closed, newVault.closed)
	}
	if err := merged.Close(); err != nil {
		t.Fatal(err)
	}
	if oldLocal.closed != 1 || oldVault.closed != 1 || newLocal.closed != 1 || newVault.closed != 1 {
		t.Errorf("closed: %d %d %d %d", oldLocal.closed, oldVault.closed, newLocal.closed, newVault.closed)
	}
}
