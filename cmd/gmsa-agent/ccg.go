package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

const (
	flagNow    = "now"
	flagDryRun = "dry-run"
)

func (s *session) ccgCommand() *cli.Command {
	return &cli.Command{
		Name:  "ccg",
		Usage: "look after HCS's CCG instances",
		Subcommands: []*cli.Command{
			s.ccgListCommand(),
			s.ccgReapCommand(),
		},
	}
}

func (s *session) ccgListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list HCS's CCG instances, and who has their containers",
		Description: "Asks the running agent, which asks HCS and every container runtime. What an instance holds\n" +
			"(a cookie, a credential spec) is not read.",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			var report hcs.Report
			if err := s.ask(c, agent.VerbInstances, nil, &report); err != nil {
				return err
			}
			return s.answer(c, report, func(w io.Writer) error { return printInstances(w, report) })
		},
	}
}

func (s *session) ccgReapCommand() *cli.Command {
	return &cli.Command{
		Name:      "reap",
		Usage:     "remove CCG instances whose container is gone",
		ArgsUsage: "[ID…]",
		Description: "Has the running agent look, and remove what has been without a container for the time of grace.\n" +
			"With --now it removes the instances that are named, if nobody has their containers.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: flagNow, Usage: "remove the named instances without waiting"},
			&cli.BoolFlag{Name: flagDryRun, Usage: "say what would be removed, and remove nothing"},
			outputFlag(),
		},
		Action: func(c *cli.Context) error {
			switch {
			case c.Bool(flagNow) && c.NArg() == 0:
				return usagef("--%s is for instances that are named", flagNow)
			case !c.Bool(flagNow) && c.NArg() > 0:
				return &usageError{
					err:  errors.New("named instances are removed without grace, which has to be said"),
					hint: "say so: " + s.again("ccg reap --now "+strings.Join(c.Args().Slice(), " ")),
				}
			}
			q := hcs.Request{DryRun: c.Bool(flagDryRun)}
			if c.Bool(flagNow) {
				q.IDs = c.Args().Slice()
			}
			var report hcs.Report
			if err := s.ask(c, agent.VerbReap, q, &report); err != nil {
				return err
			}
			if err := s.answer(c, report, func(w io.Writer) error { return printReaped(w, report, q) }); err != nil {
				return err
			}
			return notReaped(report)
		},
	}
}

func printInstances(w io.Writer, report hcs.Report) error {
	rows := [][]string{{"INSTANCE", "TRANSPORT", "STATE", "CONTAINER", "GRANT", "SINCE", "REMOVED FROM"}}
	for _, f := range report.Instances {
		container := strings.Join(f.Known, ", ")
		if container == "" && f.Place != "" {
			container = "was " + f.Place
		}
		rows = append(rows, []string{f.ID, string(f.Transport), string(f.State), container, f.Grant, stamp(f.Since), stamp(f.Due)})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	rows = nil
	for _, a := range report.Asked {
		text := counted(a.Containers, "container")
		switch {
		case a.Absent != "":
			text = "absent: " + a.Absent
		case a.Error != "":
			text = "no answer: " + a.Error
		}
		rows = append(rows, []string{"asked", a.Name, text})
	}
	if report.Unclear != "" {
		rows = append(rows, []string{"unclear", "nothing is removed", report.Unclear})
	}
	return table(w, rows)
}

// printReaped writes a line for each instance that is or would be removed.
func printReaped(w io.Writer, report hcs.Report, q hcs.Request) error {
	n := 0
	for _, f := range report.Instances {
		switch {
		case f.Removed:
			fmt.Fprintln(w, printable("removed "+f.ID))
		case f.Chosen && q.DryRun:
			fmt.Fprintln(w, printable("would remove "+f.ID))
		default:
			continue
		}
		n++
	}
	if n == 0 && q.IDs == nil {
		orphaned := 0
		for _, f := range report.Instances {
			if f.State == hcs.Orphaned {
				orphaned++
			}
		}
		_, err := fmt.Fprintf(w, "nothing is due: %s, %d without a container\n", counted(len(report.Instances), "instance"), orphaned)
		return err
	}
	return nil
}

// notReaped says what stays although it was to be removed.
func notReaped(report hcs.Report) error {
	var errs []error
	if report.Unclear != "" {
		errs = append(errs, fmt.Errorf("nothing is removed: %s: %w", report.Unclear, fault.ErrUnavailable))
	}
	for _, id := range report.Missing {
		errs = append(errs, fmt.Errorf("CCG instance %q: %w", id, fault.ErrNotFound))
	}
	for _, f := range report.Instances {
		if f.Kept != "" && f.Kept != report.Unclear {
			errs = append(errs, fmt.Errorf("CCG instance %q stays: %s", f.ID, f.Kept))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &reapError{errors.Join(errs...)}
}

// reapError says that not everything was removed.
type reapError struct{ err error }

func (e *reapError) Error() string { return e.err.Error() }
func (e *reapError) Unwrap() error { return e.err }

// ccgText says how it goes with the CCG instances.
func ccgText(s hcs.ReaperStatus) string {
	text := fmt.Sprintf("%s, %d without a container, %d of others, %d removed", counted(s.Instances, "instance"), s.Orphaned, s.Foreign, s.Removed)
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d not removed", s.Failed)
	}
	text += ", last look " + cmp.Or(stamp(s.LastLook), "never")
	if !s.Reaps {
		text += ", removing none by itself (ccg.reap)"
	}
	if s.Unclear != "" {
		text += ", unclear: " + s.Unclear
	}
	if s.LastError != "" {
		text += ", last error " + stamp(s.LastErrorAt) + ": " + s.LastError
	}
	return text
}
