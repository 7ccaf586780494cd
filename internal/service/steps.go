package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// steps are the way from one version, or from none, to another. What they undo
// they bring back from the record and from the files of from, so that a call
// after a crash can do it, too; such a call has no package.
func (h *Host) steps(r *record, p *Package, to, from *Installed, report *Report) []step {
	steps := []step{h.programStep(r, p, to, from)}
	for i, f := range to.Files {
		if f.Stable != "" {
			steps = append(steps, h.stableStep(r, to, from, i))
		}
	}
	if h.Events != nil {
		steps = append(steps, h.eventsStep(r, to, from))
	}
	if h.Plugin != nil && to.Plugin != "" {
		steps = append(steps, h.pluginStep(r, to, from))
	}
	for _, d := range to.Services {
		steps = append(steps, h.defineStep(r, d, from, report))
	}
	if from != nil {
		for _, d := range from.Services {
			if _, stays := to.service(d.Name); !stays {
				steps = append(steps, h.retireStep(r, d))
			}
		}
	}
	if h.Root != "" {
		return steps
	}
	for i, d := range to.Services {
		steps = append(steps, h.startStep(d, to, i == 0))
	}
	return steps
}

// programStep puts the version's files into its folder.
func (h *Host) programStep(r *record, p *Package, to, from *Installed) step {
	return step{
		name: "program",
		does: fmt.Sprintf("copy the files of version %s to %s", to.Version, to.Folder),
		needed: func() (bool, error) {
			for _, f := range to.Files {
				sum, err := digestOf(to.path(f.Name))
				if err != nil || sum != f.SHA256 {
					return true, err
				}
			}
			return false, nil
		},
		do: func(context.Context) error {
			for i, f := range to.Files {
				path := to.path(f.Name)
				if err := private.Shared(filepath.Dir(path)); err != nil {
					return err
				}
				sum, err := digestOf(path)
				if err != nil {
					return err
				}
				if sum == f.SHA256 {
					continue
				}
				left, err := place(p.Files[i].Source, path, f.SHA256)
				r.leave(left)
				if err != nil {
					return err
				}
			}
			return nil
		},
		undo: func(context.Context) error {
			for _, kept := range []*Installed{from, r.Previous} {
				if kept != nil && kept.Folder == to.Folder {
					return nil
				}
			}
			left, err := h.removeAll([]string{to.Folder}, false)
			r.leave(left...)
			return errors.Join(err, removeEmpty(ours(r, h.Programs)), removeEmpty([]string{filepath.Join(h.Programs, versionsFolder)}), removeEmpty(ours(r, h.Programs)))
		},
	}
}

// ours are the folders on the way to dir that were made for us.
func ours(r *record, dir string) []string {
	var made []string
	for _, m := range r.Before.Made {
		if dir == m || strings.HasPrefix(dir, m+string(filepath.Separator)) {
			made = append(made, m)
		}
	}
	return made
}

func (r *record) leave(paths ...string) {
	for _, p := range paths {
		if p != "" {
			r.Leftovers = append(r.Leftovers, p)
		}
	}
}

// stableStep puts a copy of a file where others' configuration names it.
func (h *Host) stableStep(r *record, to, from *Installed, i int) step {
	f := to.Files[i]
	return step{
		name:   "stable " + filepath.Base(f.Stable),
		does:   fmt.Sprintf("put the version's %s at %s", filepath.Base(f.Name), f.Stable),
		needed: func() (bool, error) { sum, err := digestOf(f.Stable); return sum != f.SHA256, err },
		do: func(context.Context) error {
			if err := private.Shared(filepath.Dir(f.Stable)); err != nil {
				return err
			}
			left, err := place(to.path(f.Name), f.Stable, f.SHA256)
			r.leave(left)
			return err
		},
		undo: func(context.Context) error {
			if old, had := from.stable(f.Stable); had {
				return h.bring(r, from.path(old.Name), f.Stable, old.SHA256)
			}
			return h.restoreStable(r, f.Stable)
		},
	}
}

// restoreStable brings back the file that was at path before anything of ours.
func (h *Host) restoreStable(r *record, path string) error {
	name := r.Before.Stable[path]
	if name == "" {
		left, err := h.removeAll([]string{path}, false)
		r.leave(left...)
		return errors.Join(err, removeEmpty(ours(r, filepath.Dir(path))))
	}
	kept := filepath.Join(h.Records, beforeFolder, name)
	sum, err := digestOf(kept)
	if err != nil {
		return err
	}
	if sum == "" {
		return fmt.Errorf("%s, which was at %s before: %w", kept, path, fault.ErrNotFound)
	}
	return h.bring(r, kept, path, sum)
}

func (h *Host) bring(r *record, from, to, want string) error {
	if sum, err := digestOf(to); err != nil || sum == want {
		return err
	}
	left, err := place(from, to, want)
	r.leave(left)
	return err
}

// eventsStep has the event log find its messages in the program.
func (h *Host) eventsStep(r *record, to, from *Installed) step {
	program := to.Services[0].Program
	old := ""
	if from != nil && len(from.Services) > 0 {
		old = from.Services[0].Program
	}
	return registrationStep("event-source", "register the source of events, with the messages in "+program, h.Events, program, old, &r.Before.Events)
}

func (h *Host) pluginStep(r *record, to, from *Installed) step {
	dll, old := to.path(to.Plugin), ""
	if from != nil && from.Plugin != "" {
		old = from.path(from.Plugin)
	}
	return registrationStep("plugin", "register CCG's plugin "+dll, h.Plugin, dll, old, &r.Before.Plugin)
}

// registrationStep registers a file. Its way back leads to old, or to what was
// there before anything of ours.
func registrationStep(name, does string, reg Registration, file, old string, before *json.RawMessage) step {
	return step{
		name: name,
		does: does,
		needed: func() (bool, error) {
			differences, err := reg.Differences(file)
			return len(differences) > 0, err
		},
		do: func(context.Context) error { return reg.Register(file) },
		undo: func(context.Context) error {
			switch {
			case old != "":
				return reg.Register(old)
			case *before != nil:
				return reg.Restore(*before)
			}
			return nil
		},
	}
}

func (h *Host) defineStep(r *record, d Definition, from *Installed, report *Report) step {
	return step{
		name: "service " + d.Name,
		does: "have the service " + d.Name + " run " + commandLine(d),
		needed: func() (bool, error) {
			differences, err := h.Manager.Differences(d)
			return len(differences) > 0, err
		},
		do: func(context.Context) error {
			warnings, err := h.Manager.Define(d)
			report.Warnings = append(report.Warnings, warnings...)
			return err
		},
		undo: func(ctx context.Context) error {
			old, had := from.service(d.Name)
			if !had {
				return h.Manager.Restore(d.Name, r.Before.service(d.Name))
			}
			if _, err := h.Manager.Define(old); err != nil {
				return err
			}
			if r.Pending == nil || !r.Pending.Running[d.Name] {
				return nil
			}
			return h.startAndWait(ctx, old, from, old.Name == from.Services[0].Name)
		},
	}
}

// retireStep takes away a service that the new version does not have.
func (h *Host) retireStep(r *record, d Definition) step {
	return step{
		name:   "retire " + d.Name,
		does:   "remove the service " + d.Name + ", which this version does not have",
		needed: func() (bool, error) { found, err := h.Manager.Look(d.Name); return found.State != Absent, err },
		do: func(ctx context.Context) error {
			if err := h.Manager.Stop(ctx, d.Name); err != nil {
				return err
			}
			return h.Manager.Restore(d.Name, r.Before.service(d.Name))
		},
		undo: func(ctx context.Context) error {
			if _, err := h.Manager.Define(d); err != nil {
				return err
			}
			return h.Manager.Start(ctx, d.Name)
		},
	}
}

func (h *Host) startStep(d Definition, to *Installed, agent bool) step {
	does := "start " + d.Name
	if agent {
		does += " and wait until it answers"
	}
	return step{
		name: "start " + d.Name,
		does: does,
		needed: func() (bool, error) {
			found, err := h.Manager.Look(d.Name)
			if err != nil || found.State != Running {
				return true, err
			}
			if differences, err := h.Manager.Differences(d); err != nil || len(differences) > 0 {
				return true, err
			}
			// A running one was started before the program was replaced, or
			// has the program that is there. Only the agent can say which.
			return agent && h.answers(context.Background(), to, found) != nil, nil
		},
		do: func(ctx context.Context) error {
			if err := h.Manager.Stop(ctx, d.Name); err != nil {
				return err
			}
			return h.startAndWait(ctx, d, to, agent)
		},
		undo: func(ctx context.Context) error {
			found, err := h.Manager.Look(d.Name)
			if err != nil || found.State == Absent {
				return err
			}
			return h.Manager.Stop(ctx, d.Name)
		},
	}
}

// commandLine is a definition's program and arguments for people to read.
func commandLine(d Definition) string {
	return strings.Join(append([]string{d.Program}, d.Args...), " ")
}
