package main

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

func (s *session) pluginUnregisterCommand() *cli.Command {
	return &cli.Command{
		Name:  "unregister",
		Usage: "take the plugin's registration back",
		Description: "Containers whose credential spec names the plugin do not start any more. What others have put beside the\n" +
			"registration stays.",
		Flags: []cli.Flag{dryRunFlag(), outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			changes, err := doOrPlan(c, ccgplugin.Remove, ccgplugin.Unplan)
			if err != nil {
				return err
			}
			r := registrationOf("", c.Bool(flagDryRun), changes)
			return s.answer(c, r, func(io.Writer) error {
				done := "unregistered"
				if len(changes) == 0 {
					done = "was not registered"
				}
				return s.sayLines(r.lines(done))
			})
		},
	}
}
