package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

const (
	flagPurge   = "purge"
	flagStart   = "start"
	flagTimeout = "timeout"
	flagRoot    = "root"

	flagDockerGate = "docker-gate"
)

func (s *session) serviceCommand() *cli.Command {
	return &cli.Command{
		Name:  "service",
		Usage: "make this host serve gMSA containers, and take it back to what it was",
		Subcommands: []*cli.Command{
			s.serviceInstallCommand(), s.serviceUninstallCommand(), s.serviceStartCommand(), s.serviceStopCommand(), s.serviceStatusCommand(),
		},
	}
}

func rootFlag() cli.Flag {
	return &cli.StringFlag{Name: flagRoot, Usage: "of a host that does not run: its root `FOLDER` (Linux)"}
}

func timeoutFlag() cli.Flag {
	return &cli.DurationFlag{
		Name: flagTimeout, Value: time.Minute, Usage: "how long the agent may take until it answers, as `TIME`",
		Action: func(_ *cli.Context, d time.Duration) error {
			if d <= 0 {
				return usagef("--%s: it must be more than nothing", flagTimeout)
			}
			return nil
		},
	}
}

// serviceError says that the host is not as it was asked to be.
type serviceError struct{ err error }

func (e *serviceError) Error() string { return e.err.Error() }
func (e *serviceError) Unwrap() error { return e.err }

func (s *session) serviceInstallCommand() *cli.Command {
	return &cli.Command{
		Name:  "install",
		Usage: "install this version, or upgrade to it",
		Description: "Run it from the folder of an unpacked package. Over another version it upgrades; if the new one does not\n" +
			"answer, the old one is brought back. Where everything is as it should be, it does nothing.",
		Flags: []cli.Flag{
			dryRunFlag(), timeoutFlag(), rootFlag(), outputFlag(),
			&cli.BoolFlag{Name: flagDockerGate, Usage: "install the gate that dockerd asks, too, as a service of its own (Windows); an upgrade keeps it"},
			&cli.StringFlag{
				Name: flagStart, Value: "delayed", Usage: "`WHEN` Windows starts it: delayed (after the other automatic services) or auto",
				Action: func(_ *cli.Context, v string) error {
					if v != "delayed" && v != "auto" {
						return usagef("--%s: %q is none of delayed, auto", flagStart, v)
					}
					return nil
				},
			},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			return s.onHost(c, func(h *service.Host) (*service.Report, error) {
				p, err := s.thisPackage(c, h)
				if err != nil {
					return nil, err
				}
				return h.Install(c.Context, p, c.Bool(flagDryRun))
			})
		},
	}
}

func (s *session) serviceUninstallCommand() *cli.Command {
	return &cli.Command{
		Name:  "uninstall",
		Usage: "bring the host back to what it was before the first install",
		Description: "The agent's state (grants, the local store's secrets, the audit trail) stays, unless --purge is given.\n" +
			"A configuration file stays in any case.",
		Flags: []cli.Flag{
			dryRunFlag(), rootFlag(), outputFlag(),
			&cli.BoolFlag{Name: flagPurge, Usage: "remove the agent's state, too: the secrets of the local store are gone for good"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			return s.onHost(c, func(h *service.Host) (*service.Report, error) {
				return h.Uninstall(c.Context, c.Bool(flagPurge), c.Bool(flagDryRun))
			})
		},
	}
}

// onHost does something to this host and says what it did.
func (s *session) onHost(c *cli.Context, do func(*service.Host) (*service.Report, error)) error {
	h, err := s.host(c)
	if err != nil {
		return err
	}
	if c.String(flagRoot) == "" && !c.Bool(flagDryRun) {
		if err := mayChangeHost(); err != nil {
			return &serviceError{err}
		}
	}
	if !wantsJSON(c) && !c.Bool(flagDryRun) {
		h.Progress = func(step service.Step) { fmt.Fprintln(s.stdout, s.stepLine(step)) }
	}
	report, err := do(h)
	if c.String(flagRoot) == "" && !c.Bool(flagDryRun) {
		tellOfService(report, err)
	}
	if report != nil {
		if wantsJSON(c) {
			if err := writeJSON(s.stdout, report); err != nil {
				return err
			}
		}
		for _, w := range report.Warnings {
			fmt.Fprintf(s.stderr, "warning: %s\n", printable(w))
		}
	}
	if err != nil {
		if _, usage := errors.AsType[*usageError](err); usage || isUsage(err) {
			return err
		}
		return &serviceError{err}
	}
	if wantsJSON(c) {
		return nil
	}
	return s.sayReport(report)
}

func (s *session) stepLine(step service.Step) string {
	colour := map[service.Outcome]string{service.Done: s.colour.good, service.Failed: s.colour.bad}[step.Outcome]
	off := s.colour.off
	if colour == "" {
		off = ""
	}
	return fmt.Sprintf("%s%-13s%s %-24s %s", colour, step.Outcome, off, printable(step.Name), printable(step.Does))
}

func (s *session) sayReport(r *service.Report) error {
	if r.DryRun {
		for _, step := range r.Steps {
			fmt.Fprintln(s.stdout, s.stepLine(step))
		}
	}
	for _, path := range r.Kept {
		fmt.Fprintf(s.stderr, "note: the agent's state stays: %s\n", printable(path))
	}
	for _, path := range r.Postponed {
		fmt.Fprintf(s.stderr, "note: in use, and removed later: %s\n", printable(path))
	}
	_, err := fmt.Fprintln(s.stdout, conclusion(r))
	return err
}

func conclusion(r *service.Report) string {
	from := ""
	if r.Previous != "" {
		from = ", instead of " + r.Previous
	}
	switch {
	case !r.Changed:
		return "version " + r.Version + " is installed: nothing to do"
	case r.DryRun && r.Operation == service.Install:
		return "would install version " + r.Version + from
	case r.DryRun:
		return "would remove version " + r.Version
	case r.Operation == service.Install:
		return "installed: version " + r.Version + from
	}
	return "removed: version " + cmp.Or(r.Version, "none, but for what an interrupted installation had left")
}

func (s *session) serviceStartCommand() *cli.Command {
	return &cli.Command{
		Name:  "start",
		Usage: "start the service, and wait until the agent answers",
		Flags: []cli.Flag{timeoutFlag()},
		Action: func(c *cli.Context) error {
			return s.control(c, "started", func(h *service.Host) error { return h.Start(c.Context) })
		},
	}
}

func (s *session) serviceStopCommand() *cli.Command {
	return &cli.Command{
		Name:  "stop",
		Usage: "stop the service, and wait until it has ended",
		Action: func(c *cli.Context) error {
			return s.control(c, "stopped", func(h *service.Host) error { return h.Stop(c.Context) })
		},
	}
}

func (s *session) control(c *cli.Context, done string, do func(*service.Host) error) error {
	if err := wantArgs(c, 0, 0, ""); err != nil {
		return err
	}
	h, err := s.host(c)
	if err != nil {
		return err
	}
	if err := mayChangeHost(); err != nil {
		return &serviceError{err}
	}
	if err := do(h); err != nil {
		return &serviceError{err}
	}
	_, err = fmt.Fprintln(s.stdout, done)
	return err
}

func (s *session) serviceStatusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "show what is installed, what runs, and where the two differ",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			h, err := s.host(c)
			if err != nil {
				return err
			}
			status, err := h.Status(c.Context)
			if err != nil {
				return &serviceError{err}
			}
			if err := s.answer(c, status, func(w io.Writer) error { return s.writeServiceStatus(w, status) }); err != nil {
				return err
			}
			if !status.Installed || len(status.Problems) > 0 {
				return errNotValid
			}
			return nil
		},
	}
}

func (s *session) writeServiceStatus(w io.Writer, status *service.Status) error {
	rows := [][]string{}
	row := func(cells ...string) { rows = append(rows, cells) }
	if status.Installed {
		row("installed", status.Version, status.Paths.Folder)
		row("running", cmp.Or(status.Running, "none"), "")
	} else {
		row("installed", "none", "")
	}
	if status.Previous != "" {
		row("previous", status.Previous, "its files are kept")
	}
	for _, v := range status.Services {
		detail := v.Program
		if v.PID != 0 {
			detail = fmt.Sprintf("process %d, %s", v.PID, v.Program)
		}
		row("service "+v.Name, string(v.State), detail)
	}
	if p := status.Plugin; p != nil {
		state := "registered"
		if !p.Registered {
			state = "not registered"
		}
		row("plugin", state, p.Path)
	}
	for _, path := range status.Paths.Stable {
		row("stable path", filepath.Base(path), path)
	}
	if status.Installed {
		row("configuration", cmp.Or(status.Paths.Config, "the default"), "")
	}
	if err := table(w, rows); err != nil {
		return err
	}
	for _, p := range status.Problems {
		if _, err := fmt.Fprintf(w, "%sproblem%s: %s\n  remedy: %s\n", s.colour.bad, s.colour.off, printable(p.What), printable(p.Remedy)); err != nil {
			return err
		}
	}
	return nil
}
