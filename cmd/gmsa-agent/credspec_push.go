package main

import (
	"errors"

	"github.com/urfave/cli/v2"
)

func (s *session) credspecPushCommand() *cli.Command {
	return &cli.Command{
		Name:      "push",
		Usage:     "store a credential spec in an OCI registry",
		ArgsUsage: "REF FILE",
		Action:    func(c *cli.Context) error { return errors.ErrUnsupported },
	}
}
