package main

import "github.com/urfave/cli/v2"

// helpCommand is "help COMMAND…" for "COMMAND… --help". The library's own does
// not show a command's subcommands.
func (s *session) helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "show what there is, or what a command takes",
		ArgsUsage: "[COMMAND…]",
		Action: func(c *cli.Context) error {
			args := append([]string{program}, c.Args().Slice()...)
			return s.app().RunContext(c.Context, append(args, "--help"))
		},
	}
}
