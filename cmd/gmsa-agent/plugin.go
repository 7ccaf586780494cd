package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/plugindll"
)

func (s *session) pluginCommand() *cli.Command {
	return &cli.Command{
		Name:  "plugin",
		Usage: "the CCG plugin's registration, and a call as CCG makes it",
		Subcommands: []*cli.Command{
			s.pluginRegisterCommand(),
			s.pluginUnregisterCommand(),
			s.pluginStatusCommand(),
			s.pluginCallCommand(),
		},
	}
}

// pluginError says that something about the plugin failed.
type pluginError struct{ err error }

func (e *pluginError) Error() string { return "plugin: " + e.err.Error() }
func (e *pluginError) Unwrap() error { return e.err }

// platformError says why a thing cannot be done on this platform.
type platformError struct{ because string }

func (e *platformError) Error() string { return "unsupported on this platform, because " + e.because }
func (e *platformError) Unwrap() error { return errors.ErrUnsupported }

func dryRunFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagDryRun, Usage: "say what would be done, and do nothing"}
}

// ownDLL is the plugin that lies beside this program, as in a release.
func ownDLL() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(self), plugindll.Name), nil
}

// agentBuild is what this program was made of, to be compared with the plugin.
func agentBuild() plugindll.Build {
	b := thisBuild()
	return plugindll.Build{Version: b.Version, Commit: b.Commit, Modified: b.Modified}
}

// registryChange is a change to the registry in JSON.
type registryChange struct {
	Action string `json:"action"`
	Place  string `json:"place"`
	Value  string `json:"value,omitempty"`
	Data   string `json:"data,omitempty"`
}

// registration is the answer of "plugin register" and "plugin unregister" in JSON.
type registration struct {
	DLL     string           `json:"dll,omitempty"`
	DryRun  bool             `json:"dryRun"`
	Changes []registryChange `json:"changes"`
}

func registrationOf(dll string, dryRun bool, changes []ccgplugin.Change) registration {
	r := registration{DLL: dll, DryRun: dryRun, Changes: []registryChange{}}
	for _, c := range changes {
		r.Changes = append(r.Changes, registryChange{string(c.Action), c.Place, c.Value, c.Data})
	}
	return r
}

// sentence is a change as a line of text.
func (c registryChange) sentence() string {
	return ccgplugin.Change{Action: ccgplugin.Action(c.Action), Place: c.Place, Value: c.Value, Data: c.Data}.String()
}

func (r registration) lines(done string) []string {
	would, last := "", done
	if r.DryRun {
		would, last = "would ", "nothing was changed"
	}
	var lines []string
	for _, c := range r.Changes {
		lines = append(lines, would+c.sentence())
	}
	return append(lines, last)
}

// doOrPlan does what the command is about, or only says it.
func doOrPlan(c *cli.Context, do, plan func(ccgplugin.Registry) ([]ccgplugin.Change, error)) ([]ccgplugin.Change, error) {
	reg, err := localMachine()
	if err != nil {
		return nil, err
	}
	if c.Bool(flagDryRun) {
		do = plan
	}
	changes, err := do(reg)
	if err != nil {
		return nil, &pluginError{err}
	}
	return changes, nil
}

func (s *session) sayLines(lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(s.stdout, printable(line)); err != nil {
			return err
		}
	}
	return nil
}
