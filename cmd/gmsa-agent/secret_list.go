package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
)

// listedSecret is one entry of "secret list" in JSON.
type listedSecret struct {
	Ref      string `json:"ref"`
	Domain   string `json:"domain"`
	User     string `json:"user"`
	Version  string `json:"version"`
	Modified string `json:"modified"` // RFC 3339, UTC
	Error    string `json:"error,omitempty"`
}

func (s *session) secretListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the secrets of the local store",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			store, err := s.localStore(c)
			if err != nil {
				return err
			}
			entries, listErr := store.List(c.Context)
			list := make([]listedSecret, 0, len(entries))
			rows := [][]string{{"SECRET", "DOMAIN", "USER", "MODIFIED"}}
			var damaged []error
			for _, e := range entries {
				listed := listedSecret{Ref: e.Ref.String(), Domain: e.Domain, User: e.User, Version: e.Version, Modified: stamp(e.Modified)}
				if e.Err != nil {
					listed.Error = e.Err.Error()
					damaged = append(damaged, e.Err)
				}
				list = append(list, listed)
				rows = append(rows, []string{listed.Ref, listed.Domain, listed.User, listed.Modified})
			}
			err = s.answer(c, list, func(w io.Writer) error {
				if len(list) == 0 && listErr == nil {
					_, err := fmt.Fprintf(s.stderr, "note: no secret is in %s\n", store.Dir())
					return err
				}
				return table(w, rows)
			})
			return errors.Join(append([]error{err, listErr}, damaged...)...)
		},
	}
}
