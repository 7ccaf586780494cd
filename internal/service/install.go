package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// versionsFolder is below the programs' folder and has one folder for each version.
const versionsFolder = "versions"

// Install brings the host to have this version: from nothing, from another
// version, or from what somebody has broken. Where it fails, what was there
// before is there again, and the error is a [*RolledBackError].
func (h *Host) Install(ctx context.Context, p Package, dryRun bool) (*Report, error) {
	to, err := h.installation(p)
	if err != nil {
		return nil, err
	}
	report := &Report{Operation: Install, Version: to.Version, DryRun: dryRun}
	if dryRun {
		r, err := h.installed()
		if err != nil {
			return nil, err
		}
		report.Previous = otherVersion(r.Current, to)
		report.Steps, report.Changed, err = look(h.steps(r, &p, to, r.Current, report))
		return report, err
	}
	made, err := missing(h.Records)
	if err != nil {
		return nil, err
	}
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer h.release(unlock)
	r, err := h.recovered(ctx)
	if err != nil {
		return nil, err
	}
	if r == nil {
		if len(made) > 0 { // else they are those of the call that was interrupted
			h.made = made
		}
		r = &record{Before: before{Made: h.made}}
	}
	from := r.Current
	report.Previous = otherVersion(from, to)
	steps := h.steps(r, &p, to, from, report)
	if report.Steps, report.Changed, err = look(steps); err != nil {
		return report, err
	}
	if !report.Changed {
		return report, h.tidy(r, report)
	}
	if err := h.begin(r, to); err != nil {
		return report, err
	}
	cause, undo := h.run(ctx, steps, report.Steps)
	if errors.Is(cause, errCrash) {
		return report, cause
	}
	if cause != nil {
		if undo == nil {
			undo = h.rolledBack(r)
		}
		return report, &RolledBackError{Install, to.Version, from.version(), cause, undo}
	}
	if from != nil && from.Folder != to.Folder {
		r.Previous = from
	}
	r.Current, r.Pending = to, nil
	if err := h.write(r); err != nil {
		return report, err
	}
	return report, h.tidy(r, report)
}

func otherVersion(from, to *Installed) string {
	if from == nil || from.Folder == to.Folder {
		return ""
	}
	return from.Version
}

// lock keeps other calls out, and the folder of the record in the hands of
// administrators.
func (h *Host) lock() (unlock func() error, err error) {
	if err := private.Folder(h.Records); err != nil {
		return nil, err
	}
	unlock, err = private.Lock(filepath.Join(h.Records, lockName))
	if err != nil {
		return nil, fmt.Errorf("another installation is under way: %w", err)
	}
	return unlock, nil
}

// installation is what p will be on this host. The version's folder is named
// after the version and what is in it: a build that calls itself by the name of
// another one does not take its place, and a DLL gets a new path whenever it
// is another one.
func (h *Host) installation(p Package) (*Installed, error) {
	to := &Installed{Version: p.Version, Plugin: p.Plugin, Config: p.Config, State: p.State}
	var all strings.Builder
	for _, f := range p.Files {
		if err := private.File(f.Source); err != nil {
			return nil, fmt.Errorf("what is to be installed could be changed by others: %w", err)
		}
		sum, err := digestOf(f.Source)
		if err != nil {
			return nil, err
		}
		if f.SHA256 != "" && sum != f.SHA256 {
			return nil, fmt.Errorf("%w: %s has the SHA-256 %s, and its package says %s", fault.ErrMalformed, f.Source, sum, f.SHA256)
		}
		fmt.Fprintf(&all, "%s %s\n", f.Name, sum)
		to.Files = append(to.Files, InstalledFile{f.Name, sum, f.Stable})
	}
	name, err := folderName(p.Version)
	if err != nil {
		return nil, err
	}
	to.Folder = filepath.Join(h.Programs, versionsFolder, name+"-"+shortDigest(all.String()))
	for _, d := range p.Services {
		d.Program = to.path(d.Program)
		to.Services = append(to.Services, d)
	}
	return to, nil
}

// shortDigest tells the builds of one version apart.
func shortDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

// folderName keeps of a version what every file system takes.
func folderName(version string) (string, error) {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', strings.ContainsRune(".-+", r):
			return r
		case r == '(' || r == ')':
			return -1
		}
		return '_'
	}, version)
	if name == "" || len(name) > 100 || name[0] == '.' {
		return "", fmt.Errorf("version %q: %w: it gives no name for a folder", version, fault.ErrMalformed)
	}
	return name, nil
}

// begin writes down what is about to happen, and what is there where nothing of
// ours was yet.
func (h *Host) begin(r *record, to *Installed) error {
	r.Pending = &pending{Operation: Install, To: to, Running: map[string]bool{}}
	for _, d := range to.Services {
		found, err := h.Manager.Look(d.Name)
		if err != nil {
			return fmt.Errorf("service %s: %w", d.Name, err)
		}
		r.Pending.Running[d.Name] = found.State == Running || found.State == Starting
		if _, known := r.Before.Services[d.Name]; !known {
			if r.Before.Services == nil {
				r.Before.Services = map[string]json.RawMessage{}
			}
			r.Before.Services[d.Name] = found.Saved
		}
	}
	// The folders of the state are made when a service first runs.
	var err error
	folders := []string{h.Programs}
	for _, path := range to.State {
		folders = append(folders, filepath.Dir(path))
	}
	for _, folder := range folders {
		made, err := missing(folder)
		if err != nil {
			return err
		}
		for _, dir := range made {
			if !slices.Contains(r.Before.Made, dir) {
				r.Before.Made = append(r.Before.Made, dir)
			}
		}
	}
	if h.Plugin != nil && to.Plugin != "" && r.Before.Plugin == nil {
		if r.Before.Plugin, err = h.Plugin.Save(); err != nil {
			return err
		}
	}
	if h.Events != nil && r.Before.Events == nil {
		if r.Before.Events, err = h.Events.Save(); err != nil {
			return fmt.Errorf("event source: %w", err)
		}
	}
	if err := h.keepStable(r, to); err != nil {
		return err
	}
	return h.write(r)
}

// keepStable keeps copies of the files that are where ours will be.
func (h *Host) keepStable(r *record, to *Installed) error {
	dir := filepath.Join(h.Records, beforeFolder)
	for _, f := range to.Files {
		if _, known := r.Before.Stable[f.Stable]; known || f.Stable == "" {
			continue
		}
		if r.Before.Stable == nil {
			r.Before.Stable = map[string]string{}
		}
		made, err := missing(filepath.Dir(f.Stable))
		if err != nil {
			return err
		}
		for _, folder := range made {
			if !slices.Contains(r.Before.Made, folder) {
				r.Before.Made = append(r.Before.Made, folder)
			}
		}
		sum, err := digestOf(f.Stable)
		if err != nil {
			return err
		}
		if sum == "" {
			r.Before.Stable[f.Stable] = ""
			continue
		}
		if err := private.Folder(dir); err != nil {
			return err
		}
		name := strconv.Itoa(len(r.Before.Stable)) + "-" + filepath.Base(f.Stable)
		if _, err := place(f.Stable, filepath.Join(dir, name), sum); err != nil {
			return fmt.Errorf("keep what is there: %w", err)
		}
		r.Before.Stable[f.Stable] = name
	}
	return nil
}

// recovered reads the record and ends what an earlier call did not: an
// installation is taken back, a removal is completed.
func (h *Host) recovered(ctx context.Context) (*record, error) {
	r, err := h.readRecord()
	if err != nil || r == nil || r.Pending == nil {
		return r, err
	}
	switch r.Pending.Operation {
	case Install:
		if err := h.takeBack(context.WithoutCancel(ctx), r); err != nil {
			return nil, fmt.Errorf("take back the installation of version %s that was interrupted: %w", r.Pending.To.version(), err)
		}
	case Uninstall:
		if err := h.remove(ctx, r, &Report{}); err != nil {
			return nil, fmt.Errorf("complete the removal that was interrupted: %w", err)
		}
	default:
		return nil, fmt.Errorf("record of the installation: %w: an operation %q", fault.ErrMalformed, r.Pending.Operation)
	}
	return h.readRecord()
}

// takeBack undoes a pending installation, however far it came.
func (h *Host) takeBack(ctx context.Context, r *record) error {
	if r.Pending.To == nil {
		return fmt.Errorf("record of the installation: %w: of no version", fault.ErrMalformed)
	}
	steps := h.steps(r, nil, r.Pending.To, r.Current, &Report{})
	shown := make([]Step, len(steps))
	for i, s := range steps {
		shown[i] = Step{s.name, s.does, Planned}
	}
	if err := h.undo(ctx, steps, shown); err != nil {
		return err
	}
	return h.rolledBack(r)
}

// rolledBack ends the pending operation: nothing of it is there any more.
func (h *Host) rolledBack(r *record) error {
	r.Pending = nil
	if r.Current != nil {
		return h.write(r)
	}
	return h.forget(r)
}

// forget ends the record. release removes the folders that were made.
func (h *Host) forget(r *record) error {
	h.made = r.Before.Made
	return h.removeRecord()
}

// release lets other calls in. Where no record is left, the lock's file and the
// folders go that were made, as far as nothing is in them: an error leaves a
// file of no bytes.
func (h *Host) release(unlock func() error) {
	_ = unlock()
	if left, err := exists(filepath.Join(h.Records, recordName)); left || err != nil {
		return
	}
	_ = os.Remove(filepath.Join(h.Records, lockName))
	_ = removeEmpty(h.made)
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// tidy removes what is not needed any more: versions before the previous one,
// and what was in use earlier. What still is does not matter.
func (h *Host) tidy(r *record, report *Report) error {
	keep := []string{r.Current.Folder}
	if r.Previous != nil {
		keep = append(keep, r.Previous.Folder)
	}
	entries, err := os.ReadDir(filepath.Join(h.Programs, versionsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := r.Leftovers
	for _, e := range entries {
		if dir := filepath.Join(h.Programs, versionsFolder, e.Name()); !slices.Contains(keep, dir) {
			old = append(old, dir)
		}
	}
	left, err := h.removeAll(old, false)
	if err != nil {
		return err
	}
	report.Postponed = left
	if !slices.Equal(left, r.Leftovers) {
		r.Leftovers = left
		return h.write(r)
	}
	return nil
}

// removeAll removes files and folders and returns those that are in use; at the
// end of everything, the system is asked to remove them later.
func (h *Host) removeAll(paths []string, later bool) (inUse []string, err error) {
	for _, path := range paths {
		left, err := removeTree(path)
		if err != nil {
			return inUse, err
		}
		for _, p := range left {
			if !slices.Contains(inUse, p) {
				inUse = append(inUse, p)
			}
		}
	}
	if later {
		for _, p := range inUse {
			if err := removeLater(p); err != nil {
				return inUse, fmt.Errorf("have %s removed when the host starts: %w", p, err)
			}
		}
	}
	return inUse, nil
}
