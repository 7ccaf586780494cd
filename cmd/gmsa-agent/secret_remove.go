package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func (s *session) secretRemoveCommand() *cli.Command {
	return &cli.Command{
		Name:        "remove",
		Usage:       "remove a secret from the local store",
		ArgsUsage:   "NAME",
		Description: "Grants that use the secret redeem nothing from then on.",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1, "NAME"); err != nil {
				return err
			}
			store, err := s.localStore(c)
			if err != nil {
				return err
			}
			name := localName(c.Args().First())
			if err := store.Remove(c.Context, name); err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.stdout, "%s removed\n", localRef(name))
			return err
		},
	}
}
