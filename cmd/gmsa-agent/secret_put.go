package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/secrets"
)

func (s *session) secretPutCommand() *cli.Command {
	return &cli.Command{
		Name:      "put",
		Usage:     "store or replace a plugin user in the local store",
		ArgsUsage: "NAME",
		Description: "The password is asked for twice on a terminal. Else it is all of standard input, or of\n" +
			"the file, without the one line end that may close it. There is no flag for the password\n" +
			"itself: arguments are visible to every user of the host.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "domain", Usage: "the user's `DOMAIN`, DNS or NetBIOS name (required)"},
			&cli.StringFlag{Name: "user", Usage: "the plugin user's account `NAME`, without the domain (required)"},
			&cli.StringFlag{Name: "password-file", Usage: "read the password from `FILE`"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1, "NAME"); err != nil {
				return err
			}
			name := localName(c.Args().First())
			credential := &secrets.Credential{Domain: c.String("domain"), User: c.String("user")}
			if err := complete(credential); err != nil {
				return err
			}
			store, err := s.localStore(c)
			if err != nil {
				return err
			}
			if credential.Password, err = s.password(c, c.String("password-file")); err != nil {
				return err
			}
			defer credential.Wipe()
			if err := store.Put(c.Context, name, credential); err != nil {
				return err
			}
			for _, warning := range secrets.Warnings(credential) {
				fmt.Fprintf(s.stderr, "warning: %s\n", warning)
			}
			_, err = fmt.Fprintf(s.stdout, "%s stored: user %s of domain %s\n", localRef(name), printable(credential.User), printable(credential.Domain))
			return err
		},
	}
}

// complete says what of a plugin user is missing.
func complete(c *secrets.Credential) error {
	switch {
	case c.Domain == "":
		return usagef("--domain is missing: the domain of the plugin user")
	case c.User == "":
		return usagef("--user is missing: the account name of the plugin user")
	case strings.Contains(c.User, `\`):
		return usagef(`--user %q: give the domain with --domain and the name alone with --user`, c.User)
	}
	return nil
}

// password gets the new password from the file, from a person at the terminal,
// or from standard input.
func (s *session) password(c *cli.Context, file string) (secrets.Secret, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return secrets.Secret{}, err
		}
		defer f.Close()
		return s.readPassword(f, file)
	}
	if terminal, ok := terminalOf(s.stdin); ok {
		return s.askPassword(c.Context, terminal)
	}
	return s.readPassword(s.stdin, "standard input")
}

// maxPasswordInput has room for a password that is too long, so that the store
// says so, and for a line end.
const maxPasswordInput = secrets.MaxPassword + 3

// readPassword reads a password to the end of r, without one line end: echo,
// Set-Content and every editor put one there, and no password ends in one.
func (s *session) readPassword(r io.Reader, from string) (secrets.Secret, error) {
	// Read into one buffer of full size: a growing one leaves copies behind.
	buf := make([]byte, maxPasswordInput)
	n, err := io.ReadFull(r, buf)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		clear(buf)
		return secrets.Secret{}, fmt.Errorf("%s: %w", from, err)
	}
	text, cut := bytes.CutSuffix(buf[:n], []byte("\n"))
	if cut {
		text = bytes.TrimSuffix(text, []byte("\r"))
	}
	if why := noPassword(text); why != "" {
		clear(buf)
		return secrets.Secret{}, usagef("%s: %s", from, why)
	}
	if cut {
		fmt.Fprintf(s.stderr, "note: the line end that closes %s is not taken for a part of the password\n", from)
	}
	return secrets.New(text), nil
}

// noPassword says why text can't be what was meant.
func noPassword(text []byte) string {
	switch {
	case len(text) == 0:
		return "there is no password in it"
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return "it is UTF-16: save it as UTF-8 (in PowerShell: Set-Content -Encoding utf8NoBOM)"
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return "it begins with a byte order mark: save it without one (in PowerShell: Set-Content -Encoding utf8NoBOM)"
	}
	return ""
}
