package local

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func TestStoreConforms(t *testing.T) {
	ctx := context.Background()
	secretstest.Run(t, func(t *testing.T) secretstest.Backend {
		s := openAt(t, filepath.Join(t.TempDir(), "state", "secrets"))
		return secretstest.Backend{
			Store:  s,
			Ref:    secretstest.Named,
			Put:    func(name string, c *secrets.Credential) error { return s.Put(ctx, name, c) },
			Remove: func(name string) error { return s.Remove(ctx, name) },
			Damage: func(name string) error {
				b, err := os.ReadFile(s.path(name))
				if err != nil {
					return err
				}
				b[len(b)-1] ^= 1
				return os.WriteFile(s.path(name), b, 0o600)
			},
		}
	})
}
