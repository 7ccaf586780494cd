// Package sources lists the credential spec sources that are built in. It is
// the one place that knows them all; they do not know each other.
package sources

import (
	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/config"
	"github.com/gmsa-agent/gmsa-agent/credspec/file"
	"github.com/gmsa-agent/gmsa-agent/credspec/raw"
	"github.com/gmsa-agent/gmsa-agent/credspec/registry"
)

// Config is what the sources need to be told. Its zero value works.
type Config struct {
	// Folders are where file:// references are looked for, in this order:
	// absolute paths. Nil means [DefaultFolders].
	Folders []string
}

// New returns a Mux over all of them. It fails with fault.ErrMalformed where
// the configuration is wrong.
func New(cfg Config) (*credspec.Mux, error) {
	folders := cfg.Folders
	if folders == nil {
		folders = DefaultFolders()
	}
	files, err := file.New(folders...)
	if err != nil {
		return nil, err
	}
	return credspec.NewMux(map[string]credspec.Source{
		config.Scheme:   config.Source{},
		file.Scheme:     files,
		raw.Scheme:      raw.Source{},
		registry.Scheme: registry.New(),
	}), nil
}
