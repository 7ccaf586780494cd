package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// maxPluginInput is what is read of a file; the document has a limit of its own.
const maxPluginInput = credspec.MaxSize

// hostAccountConfig is the plugin that the flags name; nil if they name none.
func (s *session) hostAccountConfig(c *cli.Context) (*credspec.HostAccountConfig, error) {
	secret, guid := c.String("secret"), c.String("plugin-guid")
	input, inputFile := c.String("plugin-input"), c.String("plugin-input-file")
	switch {
	case secret != "" && (guid != "" || input != "" || inputFile != ""):
		return nil, usagef("--secret is for this project's plugin, --plugin-guid for another: give one of them")
	case secret != "":
		ref, err := secrets.ParseRef(secret)
		if err != nil {
			return nil, usagef("--secret: %w", err)
		}
		guid, input = credspec.PluginGUID, ref.String()
	case guid == "" && (input != "" || inputFile != ""):
		return nil, usagef("--plugin-guid is missing: the plugin to tell this")
	case guid == "":
		return nil, nil
	case inputFile == "-" && c.String(flagUser) != "" && (c.String("password-file") == "" || c.String("password-file") == "-"):
		return nil, usagef("the password of --%s and what the plugin is told cannot both be on standard input", flagUser)
	case input != "" && inputFile != "":
		return nil, usagef("--plugin-input and --plugin-input-file both say what the plugin is told")
	case input == "" && inputFile == "":
		return nil, usagef("--plugin-input or --plugin-input-file is missing: what the plugin is told")
	case inputFile != "":
		text, err := s.readInput(inputFile)
		if err != nil {
			return nil, err
		}
		input = text
	}
	return &credspec.HostAccountConfig{
		PortableCcgVersion: credspec.PortableCcgVersion, PluginGUID: "{" + strings.ToUpper(strings.Trim(guid, "{}")) + "}", PluginInput: input,
	}, nil
}

// readInput reads what a plugin is told, without one line end that closes it.
func (s *session) readInput(name string) (string, error) {
	r := s.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxPluginInput+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if len(b) > maxPluginInput {
		return "", fmt.Errorf("%s: has more than %d bytes", name, maxPluginInput)
	}
	text, cut := strings.CutSuffix(string(b), "\n")
	if cut {
		text = strings.TrimSuffix(text, "\r")
	}
	return text, nil
}
