package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/plugindll"
)

// pluginStatus is the answer of "plugin status" in JSON.
type pluginStatus struct {
	Registered  bool               `json:"registered"` // and CCG can use it
	CLSID       string             `json:"clsid"`
	DLL         string             `json:"dll"`      // as registered; empty: none is
	Version     string             `json:"version"`  // the DLL's; empty if it does not say
	Commit      string             `json:"commit"`   // the same
	Identity    string             `json:"identity"` // as whom the plugin's host runs
	Differences []pluginDifference `json:"differences"`

	nothing bool
}

// pluginDifference is one thing that is not as it should be.
type pluginDifference struct {
	Severity string `json:"severity"`
	Place    string `json:"place"`
	Value    string `json:"value,omitempty"`
	Problem  string `json:"problem"`
	Effect   string `json:"effect"`
	Remedy   string `json:"remedy"`
}

// identityActivator is the only identity that a registration of ours has.
const identityActivator = "activator"

func (s *session) pluginStatusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "compare the plugin's registration and its DLL with what they should be",
		Description: "Names each difference, what Windows shows for it, and its remedy. Exit code 1: CCG cannot use the plugin, or\n" +
			"somebody else could exchange it.",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			reg, err := localMachine()
			if err != nil {
				return err
			}
			own, err := ownDLL()
			if err != nil {
				return &pluginError{err}
			}
			status, err := lookAtPlugin(reg, own, agentBuild())
			if err != nil {
				return &pluginError{err}
			}
			if err := s.answer(c, status, func(w io.Writer) error { return s.pluginText(w, status) }); err != nil {
				return err
			}
			if !status.Registered {
				return errNotValid
			}
			return nil
		},
	}
}

// lookAtPlugin compares the registration with what it should be, and the DLL
// that it names. Where it names none, own is the one to register.
func lookAtPlugin(reg ccgplugin.Registry, own string, agent plugindll.Build) (pluginStatus, error) {
	st := pluginStatus{CLSID: ccgplugin.CLSID, Identity: identityActivator, Differences: []pluginDifference{}}
	found, err := ccgplugin.Compare(reg, "")
	if err == nil && found.Path == "" {
		found, err = ccgplugin.Compare(reg, own)
	}
	if err != nil {
		return st, err
	}
	st.DLL, st.nothing = found.Path, found.Nothing
	differences := found.Differences
	if st.DLL != "" {
		build, ofFile, err := plugindll.Look(st.DLL, agent)
		if err != nil {
			return st, err
		}
		st.Version, st.Commit = build.Version, build.Commit
		differences = append(append(differences, ofFile...), notOwn(st.DLL, own)...)
	}
	st.Registered = true
	for _, d := range differences {
		st.Registered = st.Registered && d.Severity != ccgplugin.Broken
		if d.Value == "RunAs" {
			st.Identity = "RunAs"
		}
		if d.Remedy == "" {
			d.Remedy = program + " plugin register"
		}
		st.Differences = append(st.Differences, pluginDifference{string(d.Severity), d.Place, d.Value, d.Problem, d.Effect, d.Remedy})
	}
	return st, nil
}

// notOwn says that this program has a DLL beside it which is not the one that
// is registered: another release's is, then.
func notOwn(registered, own string) []ccgplugin.Difference {
	info, err := os.Stat(own)
	if err != nil {
		return nil
	}
	if other, err := os.Stat(registered); err != nil || os.SameFile(info, other) {
		return nil // the first is told already
	}
	return []ccgplugin.Difference{{
		Severity: ccgplugin.Flawed, Place: registered, Problem: "is not the DLL beside this program, " + own,
		Effect: "containers are served by the DLL that is registered, which may be of another release",
	}}
}

func (s *session) pluginText(w io.Writer, st pluginStatus) error {
	identity := "whoever activates it, which is CCG"
	if st.Identity != identityActivator {
		identity = "another one than CCG's, see below"
	}
	state := "whole"
	switch {
	case st.nothing:
		state = "none"
	case len(st.Differences) > 0:
		state = counted(len(st.Differences), "difference")
	}
	rows := [][]string{
		{"class", st.CLSID}, {"dll", st.DLL}, {"version", strings.TrimSuffix(st.Version+" "+st.Commit, " ")},
		{"runs as", identity}, {"registration", state},
	}
	if err := table(w, rows); err != nil {
		return err
	}
	for _, d := range st.Differences {
		colour, at := s.colour.bad, d.Place
		if d.Severity == string(ccgplugin.Flawed) {
			colour = s.colour.dim
		}
		if d.Value != "" {
			at += ": " + d.Value
		}
		_, err := fmt.Fprintf(w, "%s%s%s: %s %s\n    effect: %s\n    remedy: %s\n", colour, d.Severity, s.colour.off,
			printable(at), printable(d.Problem), printable(d.Effect), printable(d.Remedy))
		if err != nil {
			return err
		}
	}
	return nil
}
