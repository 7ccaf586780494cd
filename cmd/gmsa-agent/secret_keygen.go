package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/secrets/local/seed"
)

func (s *session) secretKeygenCommand() *cli.Command {
	return &cli.Command{
		Name:      "keygen",
		Usage:     "make a key that \"secret import\" opens files with",
		ArgsUsage: "FILE",
		Description: "The private key goes to FILE, which must not exist and which only administrators should be\n" +
			"able to read; the public key, for \"secret export --recipient\", to standard output.",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1, "FILE"); err != nil {
				return err
			}
			private, public, err := seed.NewKey()
			if err != nil {
				return err
			}
			f, err := os.OpenFile(c.Args().First(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(f, "# public key: %s\n%s\n", public, private)
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return err
			}
			_, err = fmt.Fprintln(s.stdout, public)
			return err
		},
	}
}
