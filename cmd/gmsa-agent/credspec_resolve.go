package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// resolved is the answer of "credspec resolve" in JSON.
type resolved struct {
	Ref      string `json:"ref"`
	Origin   string `json:"origin"`
	Digest   string `json:"digest"`   // SHA-256, in hexadecimal
	Document string `json:"document"` // as text, so that the digest is that of its bytes
}

func (s *session) credspecResolveCommand() *cli.Command {
	return &cli.Command{
		Name:        "resolve",
		Usage:       "print the credential spec that a reference names",
		ArgsUsage:   "REF",
		Description: "The document goes to standard output as it is; where it came from, and its digest, to standard error.",
		Flags:       []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1, "REF"); err != nil {
				return err
			}
			cfg, err := s.config(c)
			if err != nil {
				return err
			}
			source, err := openSources(cfg)
			if err != nil {
				return err
			}
			doc, err := s.document(c.Context, source, c.Args().First())
			if err != nil {
				return err
			}
			if wantsJSON(c) {
				return writeJSON(s.stdout, resolved{doc.name, doc.Origin, doc.Digest, string(doc.Data)})
			}
			fmt.Fprintf(s.stderr, "origin: %s\ndigest: sha256=%s\n", printable(doc.Origin), doc.Digest)
			_, err = s.stdout.Write(doc.Data)
			return err
		},
	}
}
