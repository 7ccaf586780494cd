package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func (s *session) app() *cli.App {
	app := cli.NewApp()
	app.Name, app.HelpName = program, program
	app.Usage = "Active Directory identities (gMSA) for Windows containers"
	app.Description = "Exit codes: 0 done; 1 what was asked failed or is not valid; 2 wrong usage or configuration."
	app.Writer, app.ErrWriter, app.Reader = s.stdout, s.stderr, s.stdin
	app.HideHelpCommand = true
	app.HideVersion = true                          // the version is a command: -v means verbose elsewhere
	app.Flags = append(globalFlags(), cli.HelpFlag) // which the library leaves out beside a help command of ours
	app.Commands = []*cli.Command{
		s.runCommand(),
		s.statusCommand(),
		s.doctorCommand(),
		s.verifyCommand(),
		s.credspecCommand(),
		s.secretCommand(),
		s.containersCommand(),
		s.ccgCommand(),
		s.pluginCommand(),
		s.serviceCommand(),
		s.auditCommand(),
		s.dockerGateCommand(),
		s.configCommand(),
		s.versionCommand(),
		s.helpCommand(),
	}
	// A distinguished name has commas, and none of our flags is a list in one.
	app.DisableSliceFlagSeparator = true
	// The library would end the process from within Run.
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.OnUsageError = s.onUsageError
	app.Action = s.unknownCommand(app.Commands)
	for _, command := range app.Commands {
		s.prepare(command)
	}
	return app
}

// prepare gives a command what all commands have.
func (s *session) prepare(command *cli.Command) {
	command.HideHelpCommand = true // else a file named "help" or "h" is taken for it
	command.OnUsageError = s.onUsageError
	for _, sub := range command.Subcommands {
		s.prepare(sub)
	}
	if command.Action == nil {
		command.Action = s.unknownCommand(command.Subcommands)
		return
	}
	action := command.Action
	command.Flags = append(command.Flags, globalFlags()...)
	command.Before = func(c *cli.Context) error {
		s.command = c.Command.HelpName
		s.configFile = global(c, flagConfig)
		return nil
	}
	command.Action = func(c *cli.Context) error {
		if err := misplacedFlag(c); err != nil {
			return err
		}
		return action(c)
	}
}

func (s *session) onUsageError(c *cli.Context, err error, _ bool) error {
	if c.Command != nil && c.Command.HelpName != "" {
		s.command = c.Command.HelpName
	}
	return &usageError{err: err}
}

// unknownCommand is the action of a command that only has subcommands.
func (s *session) unknownCommand(commands []*cli.Command) cli.ActionFunc {
	return func(c *cli.Context) error {
		s.command = c.Command.HelpName
		var names []string
		for _, command := range commands {
			names = append(names, command.Name)
		}
		known := strings.Join(names, ", ")
		if c.Args().Present() {
			return usagef("no command %q: there are %s", c.Args().First(), known)
		}
		return usagef("a command is missing: there are %s", known)
	}
}

// misplacedFlag finds a flag behind an argument, which the library takes for an
// argument too, and says how the command is written.
func misplacedFlag(c *cli.Context) error {
	args := c.Args().Slice()
	at := slices.IndexFunc(args, func(arg string) bool { return len(arg) > 1 && arg[0] == '-' })
	if at <= 0 || args[at] == "--" {
		return nil // at 0 it stands behind "--": else it would have been parsed
	}
	flags, rest := c.Command.HelpName, ""
	for i := 0; i < len(args); i++ {
		if args[i] == "--" || len(args[i]) < 2 || args[i][0] != '-' {
			rest += " " + quoted(args[i])
			continue
		}
		flags += " " + quoted(args[i])
		if name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "="); !hasValue && takesValue(c, name) && i+1 < len(args) {
			i++
			flags += " " + quoted(args[i])
		}
	}
	return &usageError{
		err:  fmt.Errorf("the flag %s stands behind an argument", args[at]),
		hint: "flags go before arguments: " + flags + rest,
	}
}

func takesValue(c *cli.Context, name string) bool {
	for _, flag := range c.Command.Flags {
		if slices.Contains(flag.Names(), name) {
			doc, ok := flag.(cli.DocGenerationFlag)
			return ok && doc.TakesValue()
		}
	}
	return false
}

// quoted is a word that a shell reads back, as far as people need to see it.
func quoted(word string) string {
	if word == "" || strings.ContainsAny(word, " \t\"'$&|;<>(){}*?") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// wantArgs checks the number of arguments; names say what they are.
func wantArgs(c *cli.Context, least, most int, names string) error {
	n := c.NArg()
	switch {
	case n < least:
		return usagef("missing argument: %s", names)
	case most >= 0 && n > most:
		return usagef("too many arguments: %d given, wanted %s", n, cmp.Or(names, "none"))
	}
	return nil
}
