package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// settingsFile lies beside the wrapper. It may be missing. It is UTF-8 text of
// lines "key = value" (a byte order mark before them, as PowerShell writes it, does
// not matter); a value goes to the end of its line and is not quoted.
// Blank lines and lines that begin with # say nothing. The keys, each at most
// once:
//
//	shim      absolute path of the real shim
//	endpoint  the agent's control channel, if it is not the default
const settingsFile = "containerd-shim-gmsa.conf"

// maxSettings bounds the file, in bytes: two paths of the 32,767 characters that
// Windows allows would fit.
const maxSettings = 128 << 10

type settings struct{ shim, endpoint string }

// readSettings reads the settings beside the wrapper's executable self. With an
// error it returns what could be read all the same: a mistake in the file stops
// the containers that ask, not the others.
func readSettings(self string) (settings, error) {
	path := filepath.Join(filepath.Dir(self), settingsFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}, nil
	}
	if err != nil {
		return settings{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	if err != nil {
		return settings{}, err
	}
	s, err := parseSettings(text)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// parseSettings returns what text sets, and all problems at once, each with its line.
func parseSettings(text []byte) (settings, error) {
	var s settings
	if len(text) > maxSettings {
		return s, fmt.Errorf("%w: more than %d bytes", fault.ErrMalformed, maxSettings)
	}
	if !utf8.Valid(text) {
		return s, fmt.Errorf("%w: not UTF-8 text", fault.ErrMalformed)
	}
	keys := map[string]*string{"shim": &s.shim, "endpoint": &s.endpoint}
	var problems []error
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		dest := keys[key]
		var problem string
		switch {
		case dest == nil:
			problem = fmt.Sprintf("unknown key %q, want shim or endpoint", key)
		case value == "":
			problem = key + " has no value"
		case *dest != "":
			problem = key + " is set twice"
		case key == "shim" && !filepath.IsAbs(value):
			problem = fmt.Sprintf("shim %q is not an absolute path", value)
		default:
			*dest = value
			continue
		}
		problems = append(problems, fmt.Errorf("line %d: %w: %s", number, fault.ErrMalformed, problem))
	}
	return s, errors.Join(problems...)
}
