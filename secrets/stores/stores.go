// Package stores lists the secret stores that are built in. It is the only
// package that knows more than one of them.
package stores

import (
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
)

// Config says how the built-in stores are set up.
type Config struct {
	// LocalDir is the folder of the local store; empty for local.DefaultDir.
	LocalDir string
}

// New opens the built-in stores.
func New(cfg Config) (*secrets.Mux, error) {
	dir := cfg.LocalDir
	if dir == "" {
		dir = local.DefaultDir()
	}
	l, err := local.Open(dir)
	if err != nil {
		return nil, err
	}
	return secrets.NewMux(map[string]secrets.Store{local.Scheme: l}), nil
}
