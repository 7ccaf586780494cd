package daemon

import (
	"errors"
	"io/fs"
	"os"
)

// traces are what an installed runtime has on a host, whether it runs or not.
type traces struct {
	service string // of Windows' service manager; empty: none
	folders []string
}

func (t traces) names() []string {
	var names []string
	if t.service != "" {
		names = append(names, "service "+t.service)
	}
	for _, f := range t.folders {
		names = append(names, "folder "+f)
	}
	return names
}

// tracesOf returns which of them there are. What cannot be looked for counts as
// there.
func tracesOf(t traces) []string {
	var found []string
	if t.service != "" && hasService(t.service) {
		found = append(found, "service "+t.service)
	}
	for _, f := range t.folders {
		if _, err := os.Stat(f); !errors.Is(err, fs.ErrNotExist) {
			found = append(found, "folder "+f)
		}
	}
	return found
}
