package gate

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/hook/docker"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// Announced is the file that tells dockerd where the gate is, in the folder dir or,
// if that is empty, in the platform's. Empty: none is needed.
func Announced(dir string) string {
	if dir == "" {
		dir = pluginFolder()
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, docker.Plugin+".spec")
}

// announce tells dockerd where the gate is, by a file in the folder of plugins that
// it looks into at its start. A socket in its own folder is found without.
func announce(dir, endpoint string) error {
	path := Announced(dir)
	if path == "" {
		return nil
	}
	want := address(endpoint)
	if f, err := private.OpenReplaced(path); err == nil {
		is, err := io.ReadAll(io.LimitReader(f, 4096))
		_ = f.Close()
		if err == nil && string(is) == want {
			return nil
		}
	}
	if err := private.Make(filepath.Dir(path)); err != nil {
		return fmt.Errorf("the folder of Docker's plugins: %w", err)
	}
	if err := private.Replace(filepath.Dir(path), filepath.Base(path), []byte(want), private.Replacing{Own: true}); err != nil {
		return fmt.Errorf("dockerd cannot be told where the gate is: %w", err)
	}
	return nil
}

// address is an endpoint as dockerd reads it: a pipe's name as the path of a URL.
func address(endpoint string) string {
	if strings.HasPrefix(endpoint, `\\`) {
		return "npipe://" + strings.ReplaceAll(endpoint, `\`, "/")
	}
	return "unix://" + endpoint
}
