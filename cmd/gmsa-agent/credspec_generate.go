package main

import (
	"errors"

	"github.com/urfave/cli/v2"
)

func (s *session) credspecGenerateCommand() *cli.Command {
	return &cli.Command{
		Name:      "generate",
		Usage:     "write a credential spec from Active Directory",
		ArgsUsage: "",
		Action:    func(c *cli.Context) error { return errors.ErrUnsupported },
	}
}
