package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/agent"
)

func (s *session) containersCommand() *cli.Command {
	return &cli.Command{
		Name:  "containers",
		Usage: "list the containers that asked for a gMSA, and what was decided",
		Description: "Asks the running agent. Listed are the containers that hold a grant, and the latest of those\n" +
			"that were passed or refused since the agent started; the audit trail has them all.",
		Flags:       []cli.Flag{outputFlag()},
		Subcommands: []*cli.Command{s.containersInspectCommand()},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("no command %q: there is inspect", c.Args().First())
			}
			var list []agent.Container
			if err := s.ask(c, agent.VerbContainers, nil, &list); err != nil {
				return err
			}
			return s.answer(c, list, func(w io.Writer) error {
				rows := [][]string{{"CONTAINER", "DECISION", "SINCE", "ACCOUNT", "REFERENCE", "SECRET", "RELEASES", "REASON"}}
				for _, ct := range list {
					rows = append(rows, []string{
						ct.Key.String(), string(ct.Decision), stamp(ct.Time), accountOf(ct), ct.Reference, ct.Secret, fmt.Sprint(ct.Releases), ct.Reason,
					})
				}
				return table(w, rows)
			})
		},
	}
}

func (s *session) containersInspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show what a container asked for, what was decided and why, its grant and releases",
		ArgsUsage: "ID",
		Flags:     []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1, "ID"); err != nil {
				return err
			}
			var found []agent.Container // the ID may exist in several namespaces
			if err := s.ask(c, agent.VerbContainer, c.Args().First(), &found); err != nil {
				return err
			}
			return s.answer(c, found, func(w io.Writer) error {
				for i, ct := range found {
					if i > 0 {
						fmt.Fprintln(w)
					}
					if err := printContainer(w, ct); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func printContainer(w io.Writer, ct agent.Container) error {
	var rows [][]string
	for _, row := range [][]string{
		{"container", ct.Key.String()},
		{"image", ct.Image},
		{"asked for", ct.Reference},
		{"digest", ct.Digest},
		{"stale", ct.Stale},
		{"account", accountOf(ct)},
		{"secret", ct.Secret},
		{"decision", string(ct.Decision) + " " + stamp(ct.Time)},
		{"reason", ct.Reason},
		{"grant", ct.Grant},
	} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	if ct.Decision == agent.Granted {
		releases := fmt.Sprint(ct.Releases)
		if !ct.LastRelease.IsZero() {
			releases += ", the last " + stamp(ct.LastRelease)
		}
		rows = append(rows, []string{"releases", releases})
	}
	return table(w, rows)
}

func accountOf(ct agent.Container) string {
	if ct.Account == "" && ct.Domain == "" {
		return ""
	}
	return ct.Account + "@" + ct.Domain
}
