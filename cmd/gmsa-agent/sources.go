package main

import (
	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/sources"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/daemon"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/stores"
)

// openSources makes the credential-spec sources as the configuration has them.
func openSources(cfg *config.Config) (*credspec.Mux, error) {
	return sources.New(daemon.Sources(cfg))
}

// openStores makes the secret stores as the configuration has them.
func openStores(cfg *config.Config) (*secrets.Mux, error) {
	return stores.New(daemon.Stores(cfg))
}
