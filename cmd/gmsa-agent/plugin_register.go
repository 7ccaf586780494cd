package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/plugindll"
)

func (s *session) pluginRegisterCommand() *cli.Command {
	return &cli.Command{
		Name:  "register",
		Usage: "have CCG find the plugin, or heal its registration",
		Description: "Writes what differs from the registration that CCG and COM look for, and nothing if nothing does. A step\n" +
			"that fails undoes those before it.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dll", Usage: "register the DLL at `PATH` instead of the one beside this program"},
			dryRunFlag(), outputFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			if _, err := localMachine(); err != nil {
				return err
			}
			dll, err := s.pluginToRegister(c.String("dll"))
			if err != nil {
				return err
			}
			changes, err := doOrPlan(c, func(reg ccgplugin.Registry) ([]ccgplugin.Change, error) {
				return ccgplugin.Heal(reg, dll)
			}, func(reg ccgplugin.Registry) ([]ccgplugin.Change, error) {
				return ccgplugin.Plan(reg, dll)
			})
			if err != nil {
				return err
			}
			r := registrationOf(dll, c.Bool(flagDryRun), changes)
			return s.answer(c, r, func(io.Writer) error {
				done := "registered: " + dll
				if len(changes) == 0 {
					done = "registered already: " + dll
				}
				return s.sayLines(r.lines(done))
			})
		},
	}
}

// unfitDLL says that a DLL was not registered because of what is wrong with it.
type unfitDLL struct{ difference ccgplugin.Difference }

func (e *unfitDLL) Error() string {
	return fmt.Sprintf("plugin: not registered: %s: %s", e.difference.Place, e.difference.Problem)
}

// pluginToRegister is the DLL's path, if CCG could use what is there.
func (s *session) pluginToRegister(path string) (string, error) {
	own, err := ownDLL()
	if err != nil {
		return "", &pluginError{err}
	}
	path, err = filepath.Abs(cmp.Or(path, own))
	if err != nil {
		return "", &pluginError{err}
	}
	_, found, err := plugindll.Look(path, agentBuild())
	if err != nil {
		return "", &pluginError{err}
	}
	for _, d := range found {
		if d.Severity == ccgplugin.Broken {
			return "", &unfitDLL{d}
		}
		fmt.Fprintf(s.stderr, "warning: %s: %s\n", printable(d.Place), printable(d.Problem))
	}
	return path, nil
}
