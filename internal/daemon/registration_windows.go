package daemon

import (
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

// pluginRegistration says what is wrong with the plugin's registration. A host
// on which it was never registered may be a domain member that needs none.
func pluginRegistration() (string, error) {
	found, err := ccgplugin.Inspect(ccgplugin.LocalMachine())
	if err != nil || found.Path == "" {
		return "", err
	}
	return strings.Join(found.Problems, "; "), nil
}
