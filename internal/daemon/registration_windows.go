package daemon

import (
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

// pluginRegistration says what of the plugin's registration keeps CCG from using
// it. A host on which it was never registered may be a domain member that needs
// none.
func pluginRegistration() (string, error) {
	found, err := ccgplugin.Compare(ccgplugin.LocalMachine(), "")
	if err != nil || found.Nothing {
		return "", err
	}
	var broken []string
	for _, d := range found.Differences {
		if d.Severity != ccgplugin.Broken {
			continue
		}
		place := d.Place
		if d.Value != "" {
			place += ": " + d.Value
		}
		broken = append(broken, place+" "+d.Problem)
	}
	return strings.Join(broken, "; "), nil
}
