package vault

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := New(cfg)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func ref(path string) secrets.Ref {
	r, err := secrets.ParseRef("vault://" + path)
	if err != nil {
		panic(err)
	}
	return r
}

func wantPassword(t *testing.T, s *Store, r secrets.Ref, want string) *secrets.Credential {
	t.Helper()
	c, err := s.Fetch(t.Context(), r)
	must(t, err)
	if got := string(c.Password.Bytes()); got != want || c.Domain != "contoso.com" || c.User != "svc" {
		t.Errorf("fetched %s\\%s with password %q, want %q", c.Domain, c.User, got, want)
	}
	return c
}

func wantError(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%v; want %v", err, kind)
		return
	}
	for _, k := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed, errors.ErrUnsupported} {
		if k != kind && errors.Is(err, k) {
			t.Errorf("%v is %v too", err, k)
		}
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want %q in it", err, text)
		}
	}
	if strings.Contains(strings.ToLower(err.Error()), "canary") {
		t.Errorf("a secret is shown: %v", err)
	}
}
