package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

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
		Usage:     "show what a container asked for, what was decided and why, its grant and releases, and its document",
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
		{"place", ct.Place},
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
	if ct.Carried != nil {
		rows = append(rows, []string{"carries", carriedText(*ct.Carried)})
	}
	if err := table(w, rows); err != nil || ct.Carried == nil || ct.Carried.Document == "" {
		return err
	}
	return printDocument(w, ct.Carried.Document)
}

// carriedText says what a container carries, and where.
func carriedText(c agent.Carried) string {
	var parts []string
	switch {
	case c.Document != "" && c.Admitted:
		parts = append(parts, "the admitted document")
	case c.Document != "":
		parts = append(parts, "another document than was admitted")
	case c.Reference != "":
		parts = append(parts, "the reference "+c.Reference)
	}
	if c.Place != "" {
		parts = append(parts, "in "+c.Place)
	}
	if c.Error != "" {
		parts = append(parts, "unknown: "+c.Error)
	}
	return strings.Join(parts, ", ")
}

// printDocument writes a JSON document for people.
func printDocument(w io.Writer, document string) error {
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(strings.TrimPrefix(document, "\ufeff")), "", "  "); err != nil {
		out.Reset()
		out.WriteString(document)
	}
	fmt.Fprintln(w)
	for line := range strings.Lines(out.String()) {
		fmt.Fprintln(w, printable(strings.TrimRight(line, "\r\n")))
	}
	return nil
}

func accountOf(ct agent.Container) string {
	if ct.Account == "" && ct.Domain == "" {
		return ""
	}
	return ct.Account + "@" + ct.Domain
}
