package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func (s *session) auditCommand() *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "print the audit trail, oldest first",
		Description: "Reads the trail's files, rotated ones included; the agent need not run.\n" +
			"With -o json each record is one line of JSON, as in the files.",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "print what is recorded from now on, until interrupted"},
			&cli.StringFlag{Name: "container", Usage: "only records of the container `ID` (its beginning is enough) or RUNTIME/NAMESPACE/ID"},
			&cli.StringSliceFlag{Name: "event", Usage: "only records of `EVENT`; may be given several times", Action: knownEvents},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			cfg, err := s.config(c)
			if err != nil {
				return err
			}
			filter := auditFilter{container: c.String("container"), events: c.StringSlice("event")}
			if c.Bool("follow") {
				return s.printRecords(c, audit.Follow(c.Context.Done(), cfg.Audit.File), filter)
			}
			if _, err := os.Stat(cfg.Audit.File); err != nil {
				return trailError(cfg.Audit.File, err)
			}
			return s.printRecords(c, until(c.Context, audit.Read(cfg.Audit.File)), filter)
		},
	}
}

func knownEvents(_ *cli.Context, events []string) error {
	for _, event := range events {
		if !slices.Contains(audit.Events, audit.Event(event)) {
			var known []string
			for _, e := range audit.Events {
				known = append(known, string(e))
			}
			return usagef("--event: no event %q: there are %s", event, strings.Join(known, ", "))
		}
	}
	return nil
}

func trailError(file string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &trailMissing{file}
	}
	return err
}

// trailMissing says that nothing was ever recorded where we look.
type trailMissing struct{ file string }

func (e *trailMissing) Error() string { return fmt.Sprintf("audit trail %s: not found", e.file) }
func (e *trailMissing) Unwrap() error { return fault.ErrNotFound }

// until ends records when ctx does.
func until(ctx context.Context, records iter.Seq2[audit.Record, error]) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for r, err := range records {
			if ctx.Err() != nil || !yield(r, err) {
				return
			}
		}
	}
}

func (s *session) printRecords(c *cli.Context, records iter.Seq2[audit.Record, error], filter auditFilter) error {
	print := s.printRecord
	if wantsJSON(c) {
		print = func(r audit.Record) error { return json.NewEncoder(s.stdout).Encode(r) }
	}
	for r, err := range records {
		switch {
		case errors.Is(err, fault.ErrMalformed):
			// A kill cuts a line short now and then; the others still count.
			fmt.Fprintf(s.stderr, "warning: %s\n", printable(err.Error()))
		case err != nil:
			return err
		case filter.fits(r):
			if err := print(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// auditFilter chooses records; its zero value takes all.
type auditFilter struct {
	container string
	events    []string
}

func (f auditFilter) fits(r audit.Record) bool {
	if len(f.events) > 0 && !slices.Contains(f.events, string(r.Event)) {
		return false
	}
	if f.container == "" {
		return true
	}
	return r.Container != nil && (r.Container.String() == f.container || strings.HasPrefix(r.Container.ID, f.container))
}

// eventWidth is that of the longest event.
var eventWidth = func() int {
	width := 0
	for _, event := range audit.Events {
		width = max(width, len(event))
	}
	return width
}()

// printRecord writes one line: when, what, who, and the rest by name.
func (s *session) printRecord(r audit.Record) error {
	var b strings.Builder
	colour := ""
	if strings.HasSuffix(string(r.Event), ".refused") || r.Event == audit.InjectionLost || r.Event == audit.ConfigRejected {
		colour = s.colour.bad
	}
	fmt.Fprintf(&b, "%s  %s%-*s%s", stamp(r.Time), colour, eventWidth, printable(string(r.Event)), s.colour.off)
	if r.Container != nil {
		b.WriteString("  " + printable(r.Container.String()))
	}
	if r.Account != "" || r.Domain != "" {
		b.WriteString("  " + printable(r.Account+"@"+r.Domain))
	}
	peer := ""
	if r.Peer != nil {
		peer = fmt.Sprintf("%d %s %s", r.Peer.PID, r.Peer.User, r.Peer.Image)
	}
	for _, detail := range []struct{ name, value string }{
		{"image", r.Image}, {"reference", r.Reference}, {"secret", r.Secret}, {"version", r.Version},
		{"grant", r.Grant}, {"place", r.Place}, {"peer", strings.TrimSpace(peer)}, {"reason", r.Reason},
	} {
		if detail.value != "" {
			fmt.Fprintf(&b, "  %s%s%s %s", s.colour.dim, detail.name, s.colour.off, printable(detail.value))
		}
	}
	_, err := io.WriteString(s.stdout, b.String()+"\n")
	return err
}
