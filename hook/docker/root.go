package docker

import (
	"encoding/json"
	"io"
	"os"

	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// findRoot sees to it that Docker's root is known, where Docker has not said it
// itself: as configured, as its daemon.json says, and else its default. A guess
// counts only if the folder is there.
func (w *Watch) findRoot() {
	w.mu.Lock()
	known := w.root != ""
	w.mu.Unlock()
	if known {
		return
	}
	root := w.cfg.Root
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
