package secretstest_test

import (
	"errors"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func TestMemoryConforms(t *testing.T) {
	secretstest.Run(t, func(*testing.T) secretstest.Backend {
		m := secretstest.NewMemory()
		return secretstest.Backend{
			Store: m,
			Ref:   secretstest.Named,
			Put: func(name string, c *secrets.Credential) error {
				m.Put(secretstest.Named(name), c)
				return nil
			},
			Remove: func(name string) error { m.Remove(secretstest.Named(name)); return nil },
			Damage: func(name string) error { m.Damage(secretstest.Named(name)); return nil },
		}
	})
}

func TestLeakedFindsEveryForm(t *testing.T) {
	password := []byte("s3cret:pässword")
	for _, text := range []string{
		"is s3cret:pässword!", `s3cret:p\u00e4ssword`, "s3cret%3Ap%C3%A4ssword", "7333637265743a70c3a47373776f7264",
		"73 33 63 72 65 74 3a 70 c3 a4 73 73 77 6f 72 64", "czNjcmV0OnDDpHNzd29yZA==", "[115 51 99 114 101 116 58 112 195 164 115 115 119 111 114 100]",
		"7333637265743A70C3A47373776F7264",
	} {
		if secretstest.Leaked(text, password) == "" {
			t.Errorf("not found in %q", text)
		}
	}
	if form := secretstest.Leaked("[redacted] s3cret pässword", password); form != "" {
		t.Errorf("found as %s where it is not", form)
	}
}

func TestTheTablesAreWhatTheySay(t *testing.T) {
	seen := map[string]string{}
	for what, password := range secretstest.Passwords() {
		if err := secretstest.New("contoso.com", "svc", password).Validate(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		// An editor that normalises would make two of them one.
		if other, ok := seen[password]; ok {
			t.Errorf("%s is the same as %s", what, other)
		}
		seen[password] = what
	}
	for what, password := range secretstest.Impossible() {
		if err := secretstest.New("contoso.com", "svc", password).Validate(); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%s: %v, want fault.ErrMalformed", what, err)
		}
	}
	for what, a := range secretstest.Accounts() {
		if err := secretstest.New(a.Domain, a.User, "x").Validate(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
