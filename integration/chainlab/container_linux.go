package chainlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Namespace is containerd's namespace of the lab's containers.
const Namespace = "gmsa"

// runtimeName keeps the type of the runtime's options: the wrapper takes the
// shim's place by its path, never by another name.
const runtimeName = "io.containerd.runhcs.v1"

// Container is a container to be created.
type Container struct {
	ID             string // never used twice in a lab: Wine 8 leaves containerd's folder of it behind
	Annotations    map[string]string
	Labels         map[string]string
	CredentialSpec string   // windows.credentialSpec; empty: absent
	HyperV         bool     // in a utility VM of its own
	Args           []string // nil: some command; nothing runs in the container
}

// spec is the OCI configuration, of which hcsshim needs no more for a
// process-isolated container without a network.
func (c Container) spec() ([]byte, error) {
	args := c.Args
	if args == nil {
		args = []string{"cmd.exe", "/c", "whoami"}
	}
	windows := map[string]any{"layerFolders": []string{layersFolder + `\base`, layersFolder + `\scratch`}}
	if c.CredentialSpec != "" {
		windows["credentialSpec"] = c.CredentialSpec
	}
	if c.HyperV {
		windows["hyperv"] = map[string]any{}
	}
	return json.Marshal(map[string]any{
		"ociVersion":  "1.1.0",
		"hostname":    c.ID,
		"annotations": c.Annotations,
		"process":     map[string]any{"args": args, "cwd": `C:\`, "user": map[string]any{"username": "ContainerUser"}},
		"windows":     windows,
	})
}

// CreateContainer makes the container's record in containerd. HCS and the shim
// see nothing of it before its task is started.
func (l *Lab) CreateContainer(ctx context.Context, c Container) error {
	spec, err := c.spec()
	if err != nil {
		return err
	}
	file := l.containerFile(c.ID)
	if err := os.WriteFile(file, spec, 0o600); err != nil {
		return err
	}
	args := []string{"containers", "create", "--config", l.WindowsPath(file), "--runtime", runtimeName}
	for k, v := range c.Labels {
		args = append(args, "--label", k+"="+v)
	}
	_, err = l.Ctr(ctx, append(args, c.ID)...)
	return err
}

// StartTask starts the container and leaves it running.
func (l *Lab) StartTask(ctx context.Context, id string) error {
	_, err := l.Ctr(ctx, "tasks", "start", "--null-io", "--detach", id)
	return err
}

// Delete kills the container's task, where it has one, and deletes both.
func (l *Lab) Delete(ctx context.Context, id string) error {
	tasks, err := l.Ctr(ctx, "tasks", "list", "--quiet")
	if err != nil {
		return err
	}
	var ended error
	if slices.Contains(strings.Fields(tasks), id) {
		_, ended = l.Ctr(ctx, "tasks", "delete", "--force", id)
	}
	// ctr ends with the task's exit code. Whether the task is gone shows here:
	// a container that has one is not deleted.
	if _, err = l.Ctr(ctx, "containers", "delete", id); err != nil {
		return errors.Join(ended, err)
	}
	return nil
}

// Run creates the container and starts its task.
func (l *Lab) Run(ctx context.Context, c Container) error {
	if err := l.CreateContainer(ctx, c); err != nil {
		return fmt.Errorf("container %s: %w", c.ID, err)
	}
	return l.StartTask(ctx, c.ID)
}
