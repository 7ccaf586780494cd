package docker

import (
	"encoding/json"
	"io"
	"os"

	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// findRoot sees to it that Docker's root is known, where Docker does not say it
// itself: as configured, as its daemon.json says, and else its default. A guess
// counts only if the folder is there, and is made only of the Docker that is at its
// usual place, when that could not be asked.
func (w *Watch) findRoot() {
	w.mu.Lock()
	known, asked := w.root != "", w.status.LastError != ""
	w.mu.Unlock()
	root := w.cfg.Root
	if known || root == "" && (!asked || w.cfg.Endpoint != DefaultEndpoint) {
		return
	}
	if root == "" {
		if root = configuredRoot(daemonConfig()); root == "" {
			root = defaultRoot()
		}
		if info, err := os.Stat(root); err != nil || !info.IsDir() {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.root == "" {
		w.root = root
	}
}

// setRoot takes Docker's word for where its root is.
func (w *Watch) setRoot(root string) {
	if w.cfg.Root != "" {
		root = w.cfg.Root
	}
	if root != "" {
		w.root = root
	}
}

// configuredRoot reads the root out of a daemon.json; empty if it does not say.
func configuredRoot(file string) string {
	f, err := private.OpenReplaced(file)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return ""
	}
	return rootIn(data)
}

// rootIn is the root that a daemon.json names: data-root, or as it was called
// until version 17.05, graph.
func rootIn(data []byte) string {
	var c struct {
		DataRoot string `json:"data-root"`
		Graph    string `json:"graph"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return ""
	}
	if c.DataRoot != "" {
		return c.DataRoot
	}
	return c.Graph
}
