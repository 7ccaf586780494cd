package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// checkedSecret is the answer of "secret check" in JSON.
type checkedSecret struct {
	Ref      string   `json:"ref"`
	Domain   string   `json:"domain"`
	User     string   `json:"user"`
	Version  string   `json:"version"`            // in the store's words; empty if it cannot tell
	Modified string   `json:"modified,omitempty"` // RFC 3339, UTC; absent if the store cannot tell
	Warnings []string `json:"warnings"`
}

func (s *session) secretCheckCommand() *cli.Command {
	return &cli.Command{
		Name:        "check",
		Usage:       "fetch a secret through its store, and show all but the password",
		ArgsUsage:   "REF",
		Description: "Fetches as the user who runs the command, which is not always as the agent would.",
		Flags:       []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1, "REF"); err != nil {
				return err
			}
			ref, err := secretRef(c.Args().First())
			if err != nil {
				return err
			}
			cfg, err := s.config(c)
			if err != nil {
				return err
			}
			stores, err := openStores(cfg)
			if err != nil {
				return err
			}
			credential, err := stores.Fetch(c.Context, ref)
			if err != nil {
				return err
			}
			defer credential.Wipe()
			checked := checkedSecret{
				Ref: ref.String(), Domain: credential.Domain, User: credential.User, Version: credential.Version,
				Warnings: append([]string{}, secrets.Warnings(credential)...),
			}
			modified := modifiedAt(c.Context, stores, ref)
			checked.Modified = stamp(modified)
			return s.answer(c, checked, func(w io.Writer) error { return checked.text(w, modified) })
		},
	}
}

// modifiedAt asks a store that can be listed; zero where none can tell.
func modifiedAt(ctx context.Context, stores secrets.Lister, ref secrets.Ref) time.Time {
	entries, _ := stores.List(ctx) // the fetch has said what is wrong, if anything
	for _, e := range entries {
		if e.Ref.Equal(ref) {
			return e.Modified
		}
	}
	return time.Time{}
}

func (c checkedSecret) text(w io.Writer, modified time.Time) error {
	rows := [][]string{{"secret", c.Ref}, {"domain", c.Domain}, {"user", c.User}, {"version", c.Version}}
	if !modified.IsZero() {
		rows = append(rows, []string{"age", fmt.Sprintf("%s (%s)", age(time.Since(modified)), c.Modified)})
	}
	for _, warning := range c.Warnings {
		rows = append(rows, []string{"warning", warning})
	}
	return table(w, rows)
}

// age is a duration as people say it, in its greatest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
