package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
)

// outputFlag is the flag of reading commands.
func outputFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagOutput, Aliases: []string{"o"}, Value: "text", Usage: "answer as `FORMAT`: text, json",
		Action: func(_ *cli.Context, v string) error {
			if v != "text" && v != "json" {
				return usagef("--%s: %q is none of text, json", flagOutput, v)
			}
			return nil
		},
	}
}

func wantsJSON(c *cli.Context) bool { return c.String(flagOutput) == "json" }

// answer writes v as JSON, or what text writes, to standard output.
func (s *session) answer(c *cli.Context, v any, text func(w io.Writer) error) error {
	if wantsJSON(c) {
		return writeJSON(s.stdout, v)
	}
	return text(s.stdout)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // "<" is as safe in a terminal as anything
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table writes rows of cells below a header in aligned columns.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = printable(cell); cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// printable shows control characters instead of sending them to the terminal:
// names and reasons contain what whoever creates a container wrote.
func printable(s string) string {
	if strings.IndexFunc(s, notPrintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if notPrintable(r) {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

// stamp is how times are written: UTC, because hosts and their readers are in
// different zones.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
