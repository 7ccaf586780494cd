package service

import (
	"context"
	"path/filepath"
	"time"
)

// Status is what is installed, what runs, and where the two differ.
type Status struct {
	Installed   bool            `json:"installed"`
	Version     string          `json:"version,omitempty"`  // that is installed
	Running     string          `json:"running,omitempty"`  // that answers; empty: none does
	Previous    string          `json:"previous,omitempty"` // whose files are kept
	Interrupted Operation       `json:"interrupted,omitempty"`
	Services    []ServiceStatus `json:"services"`
	Plugin      *PluginStatus   `json:"plugin,omitempty"` // absent: none is installed
	Paths       Paths           `json:"paths"`
	Problems    []Problem       `json:"problems"`
}

// ServiceStatus is one service.
type ServiceStatus struct {
	Name    string `json:"name"`
	State   State  `json:"state"`
	PID     int    `json:"pid,omitempty"`
	Program string `json:"program,omitempty"`
	Ended   string `json:"ended,omitempty"` // how, if not well
}

// PluginStatus is the registration of CCG's plugin.
type PluginStatus struct {
	Path       string `json:"path"`
	Registered bool   `json:"registered"`
}

// Paths are where everything is.
type Paths struct {
	Programs string   `json:"programs"`
	Folder   string   `json:"folder,omitempty"` // of the installed version
	Stable   []string `json:"stable,omitempty"`
	Records  string   `json:"records"`
	Config   string   `json:"config,omitempty"` // empty: the default
	State    []string `json:"state,omitempty"`
}

// Problem is something that is not as it should be, and what to do about it.
type Problem struct {
	What   string `json:"what"`
	Remedy string `json:"remedy"`
}

// The remedies: commands to type.
const (
	installAgain = "gmsa-agent service install"
	startIt      = "gmsa-agent service start"
)

// Status looks at the host and changes nothing.
func (h *Host) Status(ctx context.Context) (*Status, error) {
	r, err := h.installed()
	if err != nil {
		return nil, err
	}
	s := &Status{Services: []ServiceStatus{}, Problems: []Problem{}, Paths: Paths{Programs: h.Programs, Records: h.Records}}
	problem := func(what, remedy string) { s.Problems = append(s.Problems, Problem{what, remedy}) }
	if r.Pending != nil {
		s.Interrupted = r.Pending.Operation
		problem("an "+string(r.Pending.Operation)+" was interrupted, or is under way", "gmsa-agent service "+string(r.Pending.Operation))
	}
	if r.Current == nil {
		return s, nil
	}
	c := r.Current
	s.Installed, s.Version, s.Previous = true, c.Version, r.Previous.version()
	s.Paths.Folder, s.Paths.Config, s.Paths.State = c.Folder, c.Config, c.State
	for _, f := range c.Files {
		if f.Stable != "" {
			s.Paths.Stable = append(s.Paths.Stable, f.Stable)
		}
		if err := h.checkFile(c, f, problem); err != nil {
			return nil, err
		}
	}
	for i, d := range c.Services {
		if err := h.checkService(ctx, s, d, i == 0, problem); err != nil {
			return nil, err
		}
	}
	if err := h.checkRegistrations(s, c, problem); err != nil {
		return nil, err
	}
	for _, left := range r.Leftovers {
		problem(left+" was in use and is left of an earlier version", installAgain+", once nothing uses it")
	}
	return s, nil
}

// checkRegistrations compares what the system knows of this version's files.
func (h *Host) checkRegistrations(s *Status, c *Installed, problem func(what, remedy string)) error {
	if h.Plugin != nil && c.Plugin != "" {
		differences, err := h.Plugin.Differences(c.path(c.Plugin))
		if err != nil {
			return err
		}
		s.Plugin = &PluginStatus{Path: c.path(c.Plugin), Registered: len(differences) == 0}
		for _, d := range differences {
			problem(d, installAgain)
		}
	}
	if h.Events == nil || len(c.Services) == 0 {
		return nil
	}
	differences, err := h.Events.Differences(c.Services[0].Program)
	for _, d := range differences {
		problem(d, installAgain)
	}
	return err
}

// checkFile compares a file, and its copy at the stable path, with what was installed.
func (h *Host) checkFile(c *Installed, f InstalledFile, problem func(what, remedy string)) error {
	for _, path := range []string{c.path(f.Name), f.Stable} {
		if path == "" {
			continue
		}
		sum, err := digestOf(path)
		switch {
		case err != nil:
			return err
		case sum == "":
			problem(path+" is missing", "put the version's package on this host, and there: "+installAgain)
		case sum != f.SHA256:
			problem(path+" is not the installed version's "+filepath.Base(f.Name), "put the version's package on this host, and there: "+installAgain)
		}
	}
	return nil
}

func (h *Host) checkService(ctx context.Context, s *Status, d Definition, agent bool, problem func(what, remedy string)) error {
	found, err := h.Manager.Look(d.Name)
	if err != nil {
		return err
	}
	s.Services = append(s.Services, ServiceStatus{d.Name, found.State, found.PID, found.Program, found.Ended})
	differences, err := h.Manager.Differences(d)
	if err != nil {
		return err
	}
	for _, difference := range differences {
		problem(difference, installAgain)
	}
	if found.State != Running {
		what := "the service " + d.Name + " does not run"
		if found.Ended != "" {
			what += "; it ended: " + found.Ended
		}
		problem(what, startIt)
		return nil
	}
	if !agent || h.Answer == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	a, err := h.Answer(ctx)
	switch {
	case err != nil:
		problem("the agent does not answer: "+err.Error(), "gmsa-agent service stop, then "+startIt)
		return nil
	case a.Version != s.Version:
		problem("version "+a.Version+" answers, and version "+s.Version+" is installed", "gmsa-agent service stop, then "+startIt)
	}
	s.Running = a.Version
	return nil
}

// statusTimeout is how long a person waits for an agent that may hang.
const statusTimeout = 5 * time.Second
