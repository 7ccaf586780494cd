package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// vault is a store of one secret that cannot tell whether what it gave is
// current, and can be down.
type vault struct {
	mu      sync.Mutex
	err     error
	version string
	fetches int
}

func (v *vault) set(version string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.version, v.err = version, err
}

func (v *vault) Fetch(_ context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fetches++
	if v.err != nil {
		return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: v.err}
	}
	return &secrets.Credential{Domain: "contoso.com", User: "gmsa-plugin", Password: secrets.New([]byte(password)), Version: v.version}, nil
}

const inVault = "vault://kv/contoso"

// vault gives the world a store behind a cache, and a container that needs it.
func (w *world) vault(v *vault, times secrets.Times) (f func(id string) hook.Facts) {
	w.t.Helper()
	c := secrets.NewCache(v, secrets.WithTimes(times.Of))
	w.t.Cleanup(func() { _ = c.Close() })
	w.apply(func(s *Settings) { s.Secrets = c })
	return func(id string) hook.Facts {
		f := facts(id, "file://webapp01.json")
		f.Annotations[hook.KeySecret] = inVault
		return f
	}
}

var errSealed = fmt.Errorf("vault is sealed: %w", fault.ErrUnavailable)

func TestAStaleSecretIsRecordedBeforeItIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, v := newWorld(t), &vault{version: "7"}
		named := w.vault(v, secrets.Times{TTL: time.Minute, Stale: 4 * time.Hour})
		fetched := time.Now().UTC()
		token := tokenOf(t, w.admit(named("c1")))
		v.set("7", errSealed)
		time.Sleep(3 * time.Hour)
		w.mustRedeem(token)
		w.admit(named("c2"))

		var got []audit.Record
		for _, r := range w.records(audit.SecretStale, audit.RedeemReleased, audit.AdmitGranted) {
			if r.Time.After(fetched.Add(time.Hour)) {
				r.Time = time.Time{}
				got = append(got, r)
			}
		}
		if len(got) != 4 {
			t.Fatalf("records: %v", got)
		}
		reason := "it is 3h0m0s old, fetched at " + fetched.Format(time.RFC3339) + ": fetch vault://kv/contoso: vault is sealed: unavailable"
		for i, released := range []int{1, 3} {
			stale, then := got[released-1], got[released]
			want := then
			want.Event, want.Version, want.Reason = audit.SecretStale, "7", reason
			want.Grant = stale.Grant // an admission's has none yet
			if diff := cmp.Diff(want, stale); diff != "" || stale.Secret != inVault {
				t.Errorf("%d: %s", i, diff)
			}
		}
		if got[1].Event != audit.RedeemReleased || got[0].Grant != got[1].Grant || got[3].Event != audit.AdmitGranted {
			t.Errorf("records: %v", got)
		}

		v.set("7", fault.ErrDenied)
		time.Sleep(secrets.MaxPause)
		w.mustNotRedeem(token, fault.ErrDenied)
	})
}

func TestAStaleSecretIsNotReleasedWithoutARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, v := newWorld(t), &vault{version: "7"}
		named := w.vault(v, secrets.Times{TTL: time.Minute, Stale: time.Hour})
		token := tokenOf(t, w.admit(named("c1")))
		v.set("7", errSealed)
		time.Sleep(10 * time.Minute)
		w.trail.fails = true
		for what, err := range map[string]error{
			"redemption": func() error { _, err := w.redeem(token); return err }(),
			"admission":  func() error { _, err := w.Admit(t.Context(), named("c2")); return err }(),
		} {
			if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "disk is full") {
				t.Errorf("%s: %v", what, err)
			}
		}
		w.trail.fails = false
	})
}

func TestASecretIsForgottenOnTheControlChannel(t *testing.T) {
	w, v := newWorld(t), &vault{version: "7"}
	named := w.vault(v, secrets.Times{TTL: time.Hour})
	token := tokenOf(t, w.admit(named("c1")))
	call := served(t, func(ctx context.Context, l net.Listener) error { return w.ServeControl(ctx, l, func(hook.Key) {}) })
	forget := func(f Forget) (got Forgotten) {
		t.Helper()
		if err := control.Call(t.Context(), call(nil), VerbForget, f, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	v.set("8", nil)
	for _, test := range []struct {
		f    Forget
		want Forgotten
	}{
		{Forget{Secret: inVault, Version: "8"}, Forgotten{Secret: inVault, Version: "7"}},
		{Forget{Secret: inVault, Unless: "7"}, Forgotten{Secret: inVault, Version: "7"}},
		{Forget{Secret: "vault://kv/other", Unless: "7"}, Forgotten{Secret: "vault://kv/other"}},
		{Forget{Secret: " VAULT://kv/contoso", Unless: "8", Reason: "the directory takes 8"}, Forgotten{Secret: inVault, Version: "7", Forgotten: true}},
	} {
		if diff := cmp.Diff(test.want, forget(test.f)); diff != "" {
			t.Errorf("%+v: %s", test.f, diff)
		}
	}
	w.mustRedeem(token)
	if diff := cmp.Diff(Forgotten{Secret: inVault, Version: "8", Forgotten: true}, forget(Forget{Secret: inVault})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Forgotten{Secret: inVault}, forget(Forget{Secret: inVault})); diff != "" {
		t.Error(diff)
	}
	if v.fetches != 2 {
		t.Errorf("%d fetches", v.fetches)
	}
	got := w.records(audit.SecretForgotten)
	if len(got) != 3 {
		t.Fatalf("records: %v", got)
	}
	want := audit.Record{
		Time: got[0].Time, Event: audit.SecretForgotten, Secret: inVault, Version: "7",
		Peer: &audit.Peer{PID: 7, Image: "/bin/x", User: "uid:7"}, Reason: "the directory takes 8",
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}

	for name, test := range map[string]struct {
		refuse error
		body   any
		want   error
	}{
		"a stranger":                {fmt.Errorf("a stranger: %w", fault.ErrDenied), Forget{Secret: inVault}, fault.ErrDenied},
		"no reference":              {nil, Forget{}, fault.ErrMalformed},
		"a password by mistake":     {nil, Forget{Secret: password}, fault.ErrMalformed},
		"something else altogether": {nil, "vault", fault.ErrMalformed},
	} {
		if err := control.Call(t.Context(), call(test.refuse), VerbForget, test.body, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := w.records(audit.SecretForgotten); len(got) != 3 {
		t.Errorf("records: %v", got)
	}
	w.trail.fails = true
	if _, err := w.Forget(nil, Forget{Secret: inVault}); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("without a record: %v", err)
	}
	w.trail.fails = false
	w.apply(func(s *Settings) { s.Secrets = v })
	if _, err := w.Forget(nil, Forget{Secret: inVault}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without a cache: %v", err)
	}
}

func TestStatusCountsTheSecretsThatAreInUse(t *testing.T) {
	w := newWorld(t)
	named := w.vault(&vault{version: "7"}, secrets.Times{TTL: time.Hour})
	w.Report(func(s *Status) {
		s.Stores = append(s.Stores, Store{Scheme: "awsssm"}, Store{Scheme: "vault", Cached: 1})
	})
	w.admit(named("c1"))
	w.admit(named("c2"))
	other := named("c3")
	other.Annotations[hook.KeySecret] = "vault://kv/other"
	w.admit(other)
	w.apply(func(s *Settings) { s.Secrets = w.fetches })
	w.admit(facts("c4", "file://webapp01.json"))
	want := []Store{{Scheme: "awsssm"}, {Scheme: "local", InUse: 1}, {Scheme: "vault", InUse: 2, Cached: 1}}
	if diff := cmp.Diff(want, w.Status().Stores); diff != "" {
		t.Error(diff)
	}
}

func TestAPluginUserThatLooksOddIsToldOnceOfEachVersion(t *testing.T) {
	w, v := newWorld(t), &vault{version: "7"} // whose password ends in a blank
	named := w.vault(v, secrets.Times{})
	w.admit(named("c1"))
	w.admit(named("c2"))
	v.set("8", nil)
	w.admit(named("c3"))
	said := w.logs.String()
	if n := strings.Count(said, "secret check REF"); n != 2 || strings.Contains(said, "blank") {
		t.Errorf("it was told %d times, want once of each version, and not why:\n%s", n, said)
	}
}
