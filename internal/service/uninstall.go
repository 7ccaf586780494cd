package service

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// ErrNotInstalled says that there is nothing to remove, start or stop.
var ErrNotInstalled = fmt.Errorf("nothing is installed here: %w", fault.ErrNotFound)

// Uninstall brings the host back to what it was before the first Install. The
// agent's state stays, unless purge says otherwise. A removal that fails is
// completed by the next call, be it of Uninstall or of Install: what is removed
// already is not brought back.
func (h *Host) Uninstall(ctx context.Context, purge, dryRun bool) (*Report, error) {
	report := &Report{Operation: Uninstall, DryRun: dryRun}
	r, err := h.installed()
	if err != nil {
		return nil, err
	}
	if r.Current == nil && r.Pending == nil {
		return nil, ErrNotInstalled
	}
	if dryRun {
		report.Version = r.Current.version()
		if r.Pending == nil {
			r.Pending = &pending{Operation: Uninstall, Purge: purge}
		}
		report.Steps, report.Changed, err = look(h.removal(r, report))
		return report, err
	}
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer h.release(unlock)
	if r, err = h.readRecord(); err != nil || r == nil {
		return nil, errors.Join(err, ErrNotInstalled)
	}
	report.Version = r.Current.version()
	if r.Pending != nil && r.Pending.Operation == Install {
		if err := h.takeBack(context.WithoutCancel(ctx), r); err != nil {
			return nil, fmt.Errorf("take back the installation of version %s that was interrupted: %w", r.Pending.To.version(), err)
		}
		if r.Current == nil {
			report.Changed = true
			return report, nil
		}
	}
	if r.Pending != nil {
		purge = purge || r.Pending.Purge
	}
	r.Pending = &pending{Operation: Uninstall, Purge: purge}
	if err := h.write(r); err != nil {
		return nil, err
	}
	return report, h.remove(ctx, r, report)
}

// remove does the pending removal.
func (h *Host) remove(ctx context.Context, r *record, report *Report) error {
	report.Changed = true
	steps := h.removal(r, report)
	report.Steps = nil
	for _, s := range steps {
		shown := Step{s.name, s.does, Done}
		err := ctx.Err()
		if err == nil && h.at != nil {
			err = h.at(s.name)
		}
		if err == nil {
			err = s.do(ctx)
		}
		if err != nil {
			shown.Outcome = Failed
			h.tell(shown)
			report.Steps = append(report.Steps, shown)
			return fmt.Errorf("uninstall: %w; what is left is removed by the next call", &StepError{s.name, err})
		}
		h.tell(shown)
		report.Steps = append(report.Steps, shown)
	}
	return nil
}

// removal are the steps of a removal. Each is done from the record alone, and
// one that was done already does nothing.
func (h *Host) removal(r *record, report *Report) []step {
	var steps []step
	add := func(name, does string, do func(context.Context) error) {
		steps = append(steps, step{name: name, does: does, do: do})
	}
	var services, stable []string
	for _, i := range []*Installed{r.Current, r.Previous} {
		if i == nil {
			continue
		}
		for _, d := range i.Services {
			if !slices.Contains(services, d.Name) {
				services = append(services, d.Name)
			}
		}
	}
	for path := range r.Before.Stable {
		stable = append(stable, path)
	}
	slices.Sort(stable)
	for _, name := range slices.Backward(services) {
		add("stop "+name, "stop the service "+name, func(ctx context.Context) error { return h.Manager.Stop(ctx, name) })
		does := "remove the service " + name
		if r.Before.service(name) != nil {
			does = "give the service " + name + " the configuration that it had before"
		}
		add("service "+name, does, func(context.Context) error { return h.Manager.Restore(name, r.Before.service(name)) })
	}
	if h.Plugin != nil && r.Before.Plugin != nil {
		add("plugin", "bring back the registration of CCG's plugin that was there before, or none", func(context.Context) error { return h.Plugin.Restore(r.Before.Plugin) })
	}
	if h.Events != nil && r.Before.Events != nil {
		add("event-source", "bring back the source of events that was there before, or none", func(context.Context) error { return h.Events.Restore(r.Before.Events) })
	}
	for _, path := range stable {
		does := "remove " + path
		if r.Before.Stable[path] != "" {
			does = "bring back the " + path + " that was there before"
		}
		add("stable "+filepath.Base(path), does, func(context.Context) error { return h.restoreStable(r, path) })
	}
	add("program", "remove the programs of all versions in "+filepath.Join(h.Programs, versionsFolder), func(context.Context) error {
		left, err := h.removeAll([]string{filepath.Join(h.Programs, versionsFolder)}, false)
		r.leave(left...)
		return err
	})
	if state := stateOf(r); len(state) > 0 {
		if r.Pending != nil && r.Pending.Purge {
			add("state", "remove the agent's state, the secrets of the local store with it", func(context.Context) error {
				left, err := h.removeAll(state, false)
				r.leave(left...)
				return err
			})
		} else {
			report.Kept = state
		}
	}
	add("record", "forget what was installed, and remove the folders that were made and are empty", func(context.Context) error {
		left, err := h.removeAll(r.Leftovers, true)
		if err != nil {
			return err
		}
		report.Postponed = left
		return h.forget(r)
	})
	return steps
}

// stateOf are the files and folders of the agent's state that are there.
func stateOf(r *record) (paths []string) {
	for _, i := range []*Installed{r.Current, r.Previous} {
		if i == nil {
			continue
		}
		for _, path := range i.State {
			if there, err := exists(path); (there || err != nil) && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}
