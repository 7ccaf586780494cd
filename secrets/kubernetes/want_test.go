package kubernetes

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, kubeconfig string, namespaces ...string) *Store {
	t.Helper()
	s, err := New(Config{Config: kubeclient.Config{Kubeconfig: kubeconfig}, Namespaces: namespaces})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func ref(rest string) secrets.Ref { return secrets.Ref{Scheme: Scheme, Rest: rest} }

func fetch(t *testing.T, s secrets.Store, r secrets.Ref) *secrets.Credential {
	t.Helper()
	c, err := s.Fetch(t.Context(), r)
	must(t, err)
	return c
}

func wantPassword(t *testing.T, s secrets.Store, r secrets.Ref, want string) {
	t.Helper()
	c := fetch(t, s, r)
	defer c.Wipe()
	if got := string(c.Password.Bytes()); got != want || c.Domain != "contoso.com" || c.User != "svc" {
		t.Errorf("fetched %s\\%s with password %q, want %q", c.Domain, c.User, got, want)
	}
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
