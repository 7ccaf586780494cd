package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

func (s *session) configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "check or show the configuration",
		Subcommands: []*cli.Command{
			s.configValidateCommand(),
			s.configShowCommand(),
		},
	}
}

// configVerdict is the answer of "config validate" in JSON.
type configVerdict struct {
	File     string           `json:"file"` // empty: there is none, the defaults are in effect
	Valid    bool             `json:"valid"`
	Problems []config.Problem `json:"problems"`
}

func (s *session) configValidateCommand() *cli.Command {
	return &cli.Command{
		Name:        "validate",
		Usage:       "list everything that is wrong with the configuration file",
		Description: "Checks the file that --config names, or the one in the platform's own place. Exit code 2 if it is wrong.",
		Flags:       []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			cfg, err := s.config(c)
			if all, wrong := errors.AsType[*config.Error](err); wrong && wantsJSON(c) {
				return errors.Join(writeJSON(s.stdout, configVerdict{all.File, false, all.Problems}), err)
			}
			if err != nil {
				return err
			}
			return s.answer(c, configVerdict{cfg.Path(), true, []config.Problem{}}, func(w io.Writer) error {
				if cfg.Path() == "" {
					_, err := fmt.Fprintf(w, "no file at %s: the defaults are in effect\n", config.DefaultPath())
					return err
				}
				_, err := fmt.Fprintf(w, "%s: valid\n", cfg.Path())
				return err
			})
		},
	}
}

func (s *session) configShowCommand() *cli.Command {
	return &cli.Command{
		Name:        "show",
		Usage:       "print the configuration in effect, defaults included",
		Description: "The text is a configuration file. It holds no secret.",
		Flags:       []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			cfg, err := s.config(c)
			if err != nil {
				return err
			}
			showChannels(&cfg.Channels)
			text, err := yaml.Dump(cfg)
			if err != nil {
				return err
			}
			if !wantsJSON(c) {
				_, err := s.stdout.Write(text)
				return err
			}
			// By way of YAML, so that keys and values are the file's.
			var tree map[string]any
			if err := yaml.Load(text, &tree); err != nil {
				return err
			}
			return writeJSON(s.stdout, tree)
		},
	}
}

// showChannels fills in what the channels do where the configuration is silent.
func showChannels(c *config.Channels) {
	c.Control.Endpoint = cmp.Or(c.Control.Endpoint, channel.DefaultEndpoint(channel.Control))
	c.Plugin.Endpoint = cmp.Or(c.Plugin.Endpoint, channel.DefaultEndpoint(channel.Plugin))
	allow := channel.DefaultAllow(channel.Plugin)
	if c.Plugin.Users == nil {
		c.Plugin.Users = allow.Users
	}
	if c.Plugin.Images == nil {
		c.Plugin.Images = allow.Images
	}
}
