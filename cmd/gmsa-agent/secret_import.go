package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local/seed"
)

func (s *session) secretImportCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "store the secrets of a file that \"secret export\" wrote",
		ArgsUsage: "FILE",
		Description: "\"-\" is standard input. Nothing is stored if a secret of the file is in the store already,\n" +
			"unless --replace is given, nor if anything in the file is wrong.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "identity", Usage: "this host's private keys in `FILE` (required)"},
			&cli.BoolFlag{Name: "replace", Usage: "replace secrets that are there"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1, "FILE"); err != nil {
				return err
			}
			if c.String("identity") == "" {
				return usagef("--identity is missing: the file with this host's private key")
			}
			entries, err := s.readExport(c.Args().First(), c.String("identity"))
			if err != nil {
				return err
			}
			defer seed.Wipe(entries)
			store, err := s.localStore(c)
			if err != nil {
				return err
			}
			listed, err := store.List(c.Context)
			if err != nil {
				return err
			}
			if there := alike(entries, listed); len(there) > 0 && !c.Bool("replace") {
				return &importExists{there}
			}
			for _, e := range entries {
				if err := store.Put(c.Context, e.Name, e.Credential); err != nil {
					return err
				}
				for _, warning := range secrets.Warnings(e.Credential) {
					fmt.Fprintf(s.stderr, "warning: %s: %s\n", localRef(e.Name), warning)
				}
				if _, err := fmt.Fprintf(s.stdout, "%s stored: user %s of domain %s\n", localRef(e.Name), printable(e.Credential.User), printable(e.Credential.Domain)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// readExport opens a file with the keys in another one.
func (s *session) readExport(name, identity string) ([]seed.Entry, error) {
	text, err := readSmall(identity)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	with, err := seed.Identities(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", identity, err)
	}
	var r io.Reader = s.stdin
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	entries, err := seed.Read(r, with...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return entries, nil
}

// importExists says which secrets would be replaced.
type importExists struct{ refs []string }

func (e *importExists) Error() string {
	verb := "is"
	if len(e.refs) > 1 {
		verb = "are"
	}
	return fmt.Sprintf("nothing was stored: %s %s in the store already", strings.Join(e.refs, ", "), verb)
}

// alike are the references of the secrets that are in a file and in a store.
func alike(entries []seed.Entry, listed []secrets.Entry) []string {
	var refs []string
	for _, l := range listed {
		for _, e := range entries {
			if l.Ref.Rest == e.Name {
				refs = append(refs, l.Ref.String())
			}
		}
	}
	return refs
}
