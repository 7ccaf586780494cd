package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/agent"
)

func (s *session) secretForgetCommand() *cli.Command {
	return &cli.Command{
		Name:      "forget",
		Usage:     "have the running agent drop what it has cached of a secret",
		ArgsUsage: "REF",
		Description: "The next redemption asks the store, though it was not available a moment ago. Nothing changes\n" +
			"in the store.",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1, "REF"); err != nil {
				return err
			}
			ref, err := secretRef(c.Args().First())
			if err != nil {
				return err
			}
			var f agent.Forgotten
			if err := s.ask(c, agent.VerbForget, agent.Forget{Secret: ref.String(), Reason: "an administrator says so"}, &f); err != nil {
				return err
			}
			return s.answer(c, f, func(w io.Writer) error {
				text := "nothing is cached of " + f.Secret
				if f.Forgotten {
					text = f.Secret + " forgotten" + versionText(f.Version)
				}
				_, err := fmt.Fprintln(w, printable(text))
				return err
			})
		},
	}
}

// versionText says which version, if the store could tell.
func versionText(version string) string {
	if version == "" {
		return ""
	}
	return ", version " + version
}
