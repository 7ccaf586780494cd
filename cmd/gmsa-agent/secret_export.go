package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
	"github.com/gmsa-agent/gmsa-agent/secrets/local/seed"
)

func (s *session) secretExportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write secrets of the local store to a file that only other hosts' keys open",
		ArgsUsage: "[NAME…]",
		Description: "Without a NAME it is all of them. The file is encrypted with age; a host's key is made with\n" +
			"\"secret keygen\", or with age-keygen. The file goes to standard output unless --file is given.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "recipient", Usage: "public `KEY` (age1…) that can open the file; may be given again"},
			&cli.StringFlag{Name: "recipients-file", Usage: "public keys in `FILE`, one a line"},
			&cli.StringFlag{Name: "file", Usage: "write to `FILE`, which must not exist"},
			&cli.BoolFlag{Name: "armor", Usage: "write text instead of bytes"},
		},
		Action: func(c *cli.Context) error {
			to, err := recipients(c)
			if err != nil {
				return err
			}
			store, err := s.localStore(c)
			if err != nil {
				return err
			}
			entries, err := fetchAll(c.Context, store, c.Args().Slice())
			defer seed.Wipe(entries)
			if err != nil {
				return err
			}
			var file bytes.Buffer
			if err := seed.Write(&file, entries, c.Bool("armor"), to...); err != nil {
				return err
			}
			if err := s.writeExport(c, file.Bytes()); err != nil {
				return err
			}
			fmt.Fprintf(s.stderr, "note: %s for %s\n", counted(len(entries), "secret"), counted(len(to), "key"))
			return nil
		},
	}
}

func (s *session) writeExport(c *cli.Context, b []byte) error {
	if name := c.String("file"); name != "" {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return errors.Join(err, f.Close())
	}
	if out, isFile := s.stdout.(*os.File); isFile && !c.Bool("armor") {
		if _, terminal := terminalOf(out); terminal {
			return usagef("the file is not text: give --armor, --file, or send standard output elsewhere")
		}
	}
	_, err := s.stdout.Write(b)
	return err
}

// recipients are the keys that the flags name.
func recipients(c *cli.Context) ([]seed.Recipient, error) {
	var to []seed.Recipient
	for _, text := range c.StringSlice("recipient") {
		one, err := seed.Recipients([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("--recipient: %w", err)
		}
		to = append(to, one...)
	}
	if name := c.String("recipients-file"); name != "" {
		text, err := readSmall(name)
		if err != nil {
			return nil, err
		}
		more, err := seed.Recipients(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		to = append(to, more...)
	}
	if len(to) == 0 {
		return nil, usagef("for whom? Give --recipient or --recipients-file")
	}
	return to, nil
}

// fetchAll opens the named secrets, or all.
func fetchAll(ctx context.Context, store *local.Store, names []string) ([]seed.Entry, error) {
	if len(names) == 0 {
		listed, err := store.List(ctx)
		if err != nil {
			return nil, err
		}
		if len(listed) == 0 {
			return nil, fmt.Errorf("no secret is in %s", store.Dir())
		}
		for _, e := range listed {
			names = append(names, e.Ref.Rest)
		}
	}
	var entries []seed.Entry
	for _, name := range names {
		ref, err := secrets.ParseRef(localRef(localName(name)).String())
		if err != nil {
			return entries, err
		}
		credential, err := store.Fetch(ctx, ref)
		if err != nil {
			return entries, err
		}
		entries = append(entries, seed.Entry{Name: ref.Rest, Credential: credential})
	}
	return entries, nil
}

// readSmall reads a file of keys.
func readSmall(name string) ([]byte, error) {
	const most = 1 << 20
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("%s: longer than %d bytes", name, most)
	}
	return b, err
}
