package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
)

func (s *session) secretCommand() *cli.Command {
	return &cli.Command{
		Name:  "secret",
		Usage: "keep plugin users in the local store, and check secrets of any store",
		Subcommands: []*cli.Command{
			s.secretPutCommand(),
			s.secretListCommand(),
			s.secretRemoveCommand(),
			s.secretCheckCommand(),
			s.secretForgetCommand(),
			s.secretKeygenCommand(),
			s.secretExportCommand(),
			s.secretImportCommand(),
		},
	}
}

// localStore opens the local store that the configuration names.
func (s *session) localStore(c *cli.Context) (*local.Store, error) {
	cfg, err := s.config(c)
	if err != nil {
		return nil, err
	}
	return local.Open(cfg.Secrets.Local.Dir)
}

// localName is the name of a local secret, written alone or as a reference.
func localName(arg string) string { return strings.TrimPrefix(arg, local.Scheme+"://") }

func localRef(name string) secrets.Ref { return secrets.Ref{Scheme: local.Scheme, Rest: name} }
