package local_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func open(t *testing.T) *local.Store {
	t.Helper()
	s, err := local.Open(filepath.Join(t.TempDir(), "state", "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func backend(s *local.Store) secretstest.Backend {
	return secretstest.Backend{
		Store:  s,
		Ref:    secretstest.Named,
		Put:    func(name string, c *secrets.Credential) error { return s.Put(context.Background(), name, c) },
		Remove: func(name string) error { return s.Remove(context.Background(), name) },
		Damage: func(name string) error {
			path := filepath.Join(s.Dir(), name+".secret")
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)-1] ^= 1
			return os.WriteFile(path, b, 0o600)
		},
	}
}

func TestStoreConforms(t *testing.T) {
	secretstest.Run(t, func(t *testing.T) secretstest.Backend { return backend(open(t)) })
}
