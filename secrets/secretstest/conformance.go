// Package secretstest has what the tests of secret stores share: the suite of
// what every store must do, a store in memory, and a search for passwords in
// texts. It is for tests only.
package secretstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Backend is one store under test and the means to fill it.
type Backend struct {
	Store secrets.Store
	// Ref names the secret of a name of lower-case letters and digits.
	Ref func(name string) secrets.Ref
	// Put makes the backend hold c, or replaces what it holds.
	Put func(name string, c *secrets.Credential) error
	// Remove makes the backend hold it no more; nil if it can't.
	Remove func(name string) error
	// Damage makes what the backend holds something that no credential can be
	// read from; nil if it can't. It may leave the password in it.
	Damage func(name string) error
}

// New returns a credential for a test.
func New(domain, user, password string) *secrets.Credential {
	return &secrets.Credential{Domain: domain, User: user, Password: secrets.New([]byte(password))}
}

// Run checks that the stores that open returns do what secrets.Store says, and
// secrets.Lister and secrets.Verifier if they are such. Each call returns an
// empty store.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	t.Run("delivers every password unchanged", func(t *testing.T) {
		b := open(t)
		for what, password := range Passwords() {
			put(t, b, "svc", New("contoso.com", "svc", password))
			c := fetch(t, b, "svc")
			if c.Domain != "contoso.com" || c.User != "svc" {
				t.Errorf("%s: fetched %s\\%s", what, c.Domain, c.User)
			}
			if got := string(c.Password.Bytes()); got != password {
				t.Errorf("%s: fetched %q, want %q", what, got, password)
			}
			c.Wipe()
		}
	})
	t.Run("delivers every account unchanged", func(t *testing.T) {
		b := open(t)
		for what, account := range Accounts() {
			put(t, b, "svc", New(account.Domain, account.User, "Passw0rd!"))
			if c := fetch(t, b, "svc"); c.Domain != account.Domain || c.User != account.User {
				t.Errorf("%s: fetched %q of domain %q, want %q of %q", what, c.User, c.Domain, account.User, account.Domain)
			}
		}
	})
	t.Run("makes no other password of an impossible one", func(t *testing.T) {
		b := open(t)
		i := 0
		for what, password := range Impossible() {
			i++
			name := fmt.Sprintf("svc%d", i)
			if err := b.Put(name, New("contoso.com", "svc", password)); err != nil {
				continue // the backend does not even hold it
			}
			c, err := b.Store.Fetch(t.Context(), b.Ref(name))
			if err == nil {
				t.Errorf("%s: fetched %q", what, c.Password.Bytes())
				continue
			}
			check(t, err, fault.ErrMalformed, b.Ref(name))
		}
	})
	t.Run("keeps secrets apart", func(t *testing.T) {
		b := open(t)
		put(t, b, "one", New("contoso.com", "svc1", "first"))
		put(t, b, "two", New("FABRIKAM", "svc2", "second"))
		one, two := fetch(t, b, "one"), fetch(t, b, "two")
		if one.User != "svc1" || one.Domain != "contoso.com" || !one.Password.Equal(secrets.New([]byte("first"))) {
			t.Errorf("one: fetched %v", one)
		}
		if two.User != "svc2" || two.Domain != "FABRIKAM" || !two.Password.Equal(secrets.New([]byte("second"))) {
			t.Errorf("two: fetched %v", two)
		}
	})
	t.Run("gives each caller bytes of its own", func(t *testing.T) {
		b := open(t)
		put(t, b, "svc", New("contoso.com", "svc", "Passw0rd!"))
		first, second := fetch(t, b, "svc"), fetch(t, b, "svc")
		first.Wipe()
		third := fetch(t, b, "svc")
		for _, c := range []*secrets.Credential{second, third} {
			if string(c.Password.Bytes()) != "Passw0rd!" {
				t.Error("wiping one fetched credential changed another one")
			}
		}
	})
	t.Run("serves many callers at once", func(t *testing.T) {
		b := open(t)
		put(t, b, "svc", New("contoso.com", "svc", "Passw0rd!"))
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				c, err := b.Store.Fetch(t.Context(), b.Ref("svc"))
				if err != nil {
					t.Error(err)
					return
				}
				if string(c.Password.Bytes()) != "Passw0rd!" {
					t.Error("wrong password")
				}
				c.Wipe()
			})
		}
		wg.Wait()
	})
	t.Run("names what it does not have", func(t *testing.T) {
		b := open(t)
		put(t, b, "there", New("contoso.com", "svc", "Passw0rd!"))
		ref := b.Ref("absent")
		_, err := b.Store.Fetch(t.Context(), ref)
		check(t, err, fault.ErrNotFound, ref)
	})
	t.Run("refuses a reference that is not its own", func(t *testing.T) {
		b := open(t)
		for _, ref := range []secrets.Ref{{}, {Scheme: b.Ref("svc").Scheme}, {Scheme: "nosuchscheme", Rest: "svc"}} {
			_, err := b.Store.Fetch(t.Context(), ref)
			check(t, err, fault.ErrMalformed, secrets.Ref{})
		}
	})
	t.Run("does not ask for a caller that is gone", func(t *testing.T) {
		b := open(t)
		put(t, b, "svc", New("contoso.com", "svc", "Passw0rd!"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.Store.Fetch(ctx, b.Ref("svc"))
		check(t, err, fault.ErrUnavailable, b.Ref("svc"))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error does not wrap context.Canceled: %v", err)
		}
	})
	t.Run("fetches what was put last", func(t *testing.T) {
		b := open(t)
		seen := map[string]bool{}
		for i := range 20 {
			want := fmt.Sprintf("password-%02d", i)
			put(t, b, "svc", New("contoso.com", "svc", want))
			c := fetch(t, b, "svc")
			if got := string(c.Password.Bytes()); got != want {
				t.Fatalf("fetched %q, want %q", got, want)
			}
			if c.Version != "" && seen[c.Version] {
				t.Fatalf("version %q is that of another password", c.Version)
			}
			seen[c.Version] = true
			if again := fetch(t, b, "svc"); again.Version != c.Version {
				t.Fatalf("version changed from %q to %q, the secret did not", c.Version, again.Version)
			}
		}
	})
	t.Run("says of a damaged secret that it is malformed and shows nothing of it", func(t *testing.T) {
		b := open(t)
		if b.Damage == nil {
			t.Skip("the backend cannot damage a secret")
		}
		put(t, b, "bad", New("contoso.com", "svc", "C4nary-of-the-damaged"))
		put(t, b, "good", New("contoso.com", "svc", "Passw0rd!"))
		must(t, b.Damage("bad"))
		_, err := b.Store.Fetch(t.Context(), b.Ref("bad"))
		check(t, err, fault.ErrMalformed, b.Ref("bad"))
		if form := Leaked(fmt.Sprintf("%v %+v %#v", err, err, err), []byte("C4nary-of-the-damaged")); form != "" {
			t.Errorf("the error contains the password (%s)", form)
		}
		fetch(t, b, "good")
	})
	t.Run("forgets what was removed", func(t *testing.T) {
		b := open(t)
		if b.Remove == nil {
			t.Skip("the backend cannot remove a secret")
		}
		put(t, b, "svc", New("contoso.com", "svc", "Passw0rd!"))
		must(t, b.Remove("svc"))
		_, err := b.Store.Fetch(t.Context(), b.Ref("svc"))
		check(t, err, fault.ErrNotFound, b.Ref("svc"))
	})
	t.Run("Verifier", func(t *testing.T) { runVerifier(t, open) })
	t.Run("Lister", func(t *testing.T) { runLister(t, open) })
}

func runVerifier(t *testing.T, open func(t *testing.T) Backend) {
	b := open(t)
	v, ok := b.Store.(secrets.Verifier)
	if !ok {
		t.Skip("not a Verifier")
	}
	ctx := t.Context()
	put(t, b, "svc", New("contoso.com", "svc", "same length 1"))
	put(t, b, "other", New("contoso.com", "svc", "same length 1"))
	first := fetch(t, b, "svc")
	if !v.Current(ctx, b.Ref("svc"), first.Version) {
		t.Error("a secret that was just fetched is not current")
	}
	put(t, b, "other", New("contoso.com", "svc", "same length 2"))
	if !v.Current(ctx, b.Ref("svc"), first.Version) {
		t.Error("a secret is not current because another one was replaced")
	}
	put(t, b, "svc", New("contoso.com", "svc", "same length 2"))
	if v.Current(ctx, b.Ref("svc"), first.Version) {
		t.Error("a secret that was replaced is current")
	}
	second := fetch(t, b, "svc")
	if !v.Current(ctx, b.Ref("svc"), second.Version) {
		t.Error("the replacement is not current")
	}
	if v.Current(ctx, b.Ref("absent"), second.Version) {
		t.Error("a secret that never was is current")
	}
	if b.Remove == nil {
		return
	}
	must(t, b.Remove("svc"))
	if v.Current(ctx, b.Ref("svc"), second.Version) {
		t.Error("a secret that was removed is current")
	}
	put(t, b, "svc", New("contoso.com", "svc", "same length 3"))
	for _, c := range []*secrets.Credential{first, second} {
		if v.Current(ctx, b.Ref("svc"), c.Version) {
			t.Error("a secret that was removed is current after another one took its name")
		}
	}
}

func runLister(t *testing.T, open func(t *testing.T) Backend) {
	b := open(t)
	l, ok := b.Store.(secrets.Lister)
	if !ok {
		t.Skip("not a Lister")
	}
	if entries, err := l.List(t.Context()); err != nil || len(entries) != 0 {
		t.Errorf("an empty store lists %v, %v", entries, err)
	}
	before := time.Now().Add(-time.Minute)
	put(t, b, "two", New("FABRIKAM", "svc2", "second"))
	put(t, b, "one", New("contoso.com", "svc1", "first"))
	entries, err := l.List(t.Context())
	if err != nil || len(entries) != 2 {
		t.Fatalf("listed %v, %v; want 2 entries", entries, err)
	}
	if !slices.IsSortedFunc(entries, func(a, b secrets.Entry) int { return strings.Compare(a.Ref.String(), b.Ref.String()) }) {
		t.Error("entries are not sorted by reference")
	}
	for i, name := range []string{"one", "two"} {
		e := entries[i]
		c := fetch(t, b, name)
		if !e.Ref.Equal(b.Ref(name)) || e.Domain != c.Domain || e.User != c.User || e.Version != c.Version || e.Err != nil {
			t.Errorf("%s is listed as %+v, but fetched as %v", name, e, c)
		}
		if e.Modified.Before(before) || e.Modified.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s was modified at %v", name, e.Modified)
		}
	}
	if b.Damage == nil {
		return
	}
	must(t, b.Damage("one"))
	if entries, err = l.List(t.Context()); err != nil || len(entries) != 2 || entries[1].Err != nil {
		t.Errorf("with one damaged secret listed %+v, %v; want both, the good one without an error", entries, err)
	}
}

func put(t *testing.T, b Backend, name string, c *secrets.Credential) {
	t.Helper()
	must(t, b.Put(name, c))
}

func fetch(t *testing.T, b Backend, name string) *secrets.Credential {
	t.Helper()
	c, err := b.Store.Fetch(t.Context(), b.Ref(name))
	must(t, err)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check checks that err is of exactly one kind and names the reference.
func check(t *testing.T, err, kind error, ref secrets.Ref) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, k := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed, errors.ErrUnsupported} {
		if is := errors.Is(err, k); is != (k == kind) {
			t.Errorf("errors.Is(err, %q) = %v, want kind %q: %v", k, is, kind, err)
		}
	}
	if ref.Scheme != "" && !strings.Contains(err.Error(), ref.String()) {
		t.Errorf("error does not name %s: %v", ref, err)
	}
}
