package main

import (
	"cmp"
	"io"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// session is one run of the command line.
type session struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	colour palette // of stdout

	command    string // as typed, without its arguments: "gmsa-agent credspec validate"
	configFile string // as --config has it
}

func newSession(stdin io.Reader, stdout, stderr io.Writer) *session {
	return &session{stdin: stdin, stdout: stdout, stderr: stderr, colour: paletteFor(stdout), command: program}
}

// program is how the hints call us, whatever the file is named.
const program = "gmsa-agent"

// The global flags.
const (
	flagConfig    = "config"
	flagEndpoint  = "endpoint"
	flagLogLevel  = "log-level"
	flagLogFormat = "log-format"
	flagOutput    = "output"
)

// globalFlags are new flags each time: the library writes into them.
func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagConfig, Usage: "read the configuration from `FILE`", Category: "Global:"},
		&cli.StringFlag{Name: flagEndpoint, Usage: "reach the running agent at `ADDR` (pipe name or socket path)", Category: "Global:"},
		&cli.StringFlag{Name: flagLogLevel, Usage: "log from `LEVEL` up: debug, info, warn, error", Category: "Global:"},
		&cli.StringFlag{Name: flagLogFormat, Usage: "log as `FORMAT`: text, json", Category: "Global:"},
	}
}

// global is a global flag's value, which may be given before the command or
// after it; the one nearest to the arguments counts.
func global(c *cli.Context, name string) string {
	for _, ctx := range c.Lineage() {
		if ctx.IsSet(name) && ctx.String(name) != "" {
			return ctx.String(name)
		}
	}
	return ""
}

// config is the configuration that the command works with: the file's, and
// over it what the global flags say.
func (s *session) config(c *cli.Context) (*config.Config, error) {
	cfg, err := config.Load(s.configFile)
	if err != nil {
		return nil, &configError{err}
	}
	if level := global(c, flagLogLevel); level != "" {
		if err := cfg.Log.Level.UnmarshalText([]byte(level)); err != nil {
			return nil, usagef("--%s: %w", flagLogLevel, err)
		}
	}
	if format := global(c, flagLogFormat); format != "" {
		if err := cfg.Log.Format.UnmarshalText([]byte(format)); err != nil {
			return nil, usagef("--%s: %w", flagLogFormat, err)
		}
	}
	cfg.Channels.Control.Endpoint = cmp.Or(global(c, flagEndpoint), cfg.Channels.Control.Endpoint)
	return cfg, nil
}

// logger writes to standard error, as the configuration says.
func (s *session) logger(l config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level}
	if l.Format == config.FormatJSON {
		return slog.New(slog.NewJSONHandler(s.stderr, options))
	}
	return slog.New(slog.NewTextHandler(s.stderr, options))
}
