package containerdlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Options say how a lab is started.
type Options struct {
	Report lab.Reporter // nil: silent
}

// Lab is a running containerd.
type Lab struct {
	// Namespace is the containerd namespace that Ctr uses, and that the lab's
	// control groups are named after. No other lab of the machine has it.
	Namespace string

	dir        string
	namespaces *lab.Enclosure
	containerd *lab.Process // nsenter, whose child containerd is
	starts     int
}

// namePrefix is that of every lab's namespace, and so of its control groups and
// its folder. A process number follows.
const namePrefix = "gmsa-ctd-"

var labs atomic.Int64

// Start starts a lab. The caller calls Stop.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	if o.Report == nil {
		o.Report = func(string, ...any) {}
	}
	// A socket's path may have 107 bytes, so not in a test's long folder.
	name := fmt.Sprintf("%s%d-%d", namePrefix, os.Getpid(), labs.Add(1))
	dir, err := os.MkdirTemp("", name+"-")
	if err != nil {
		return nil, err
	}
	l := &Lab{Namespace: name, dir: dir}
	if err := l.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the containerd lab: %w", err), l.Stop())
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context, o Options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, lab.StartTimeout) // all of it takes a second
	defer cancel()
	lab.RemoveDead(namePrefix)
	if l.namespaces, err = lab.Enclose(ctx, lab.EnclosureOptions{Log: l.Path("first.log")}); err != nil {
		return err
	}
	if err := l.StartContainerd(ctx); err != nil {
		return err
	}
	tar, err := lab.BusyboxImage(Image)
	if err != nil {
		return err
	}
	path := l.Path("image.tar")
	if err := os.WriteFile(path, tar, 0o600); err != nil {
		return err
	}
	if _, err := l.Ctr(ctx, "images", "import", "--snapshotter", snapshotter, path); err != nil {
		return err
	}
	o.Report("containerd runs in %s", l.dir)
	return nil
}

// snapshotter copies files. It works on every file system, and the image is small.
const snapshotter = "native"

// Path returns a path in the lab's folder, which goes with the lab.
func (l *Lab) Path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }

// Address is containerd's socket.
func (l *Lab) Address() string { return l.Path("containerd.sock") }

// StateDir is containerd's state folder.
func (l *Lab) StateDir() string { return l.Path("state") }

// Bundle is the folder of a container's bundle, which is there while it has a task.
func (l *Lab) Bundle(id string) string {
	return filepath.Join(l.StateDir(), "io.containerd.runtime.v2.task", l.Namespace, id)
}

const config = `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
`

// StartContainerd starts containerd, which Start has done already.
func (l *Lab) StartContainerd(ctx context.Context) error {
	file := l.Path("config.toml")
	text := fmt.Sprintf(config, l.Path("root"), l.StateDir(), l.Address())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	// One that was killed leaves it, and then it is no sign of life.
	if err := os.Remove(l.Address()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l.starts++
	command := l.namespaces.Inside("/usr/bin/containerd", "--config", file)
	var err error
	l.containerd, err = lab.Start(lab.Options{Path: command[0], Args: command[1:], Log: l.Path(fmt.Sprintf("containerd-%d.log", l.starts))})
	if err != nil {
		return err
	}
	return lab.WaitFor(ctx, "containerd", func(ctx context.Context) error {
		if err := l.containerd.Exited(); err != nil {
			return err
		}
		_, err := l.Ctr(ctx, "version")
		return err
	})
}

// KillContainerd ends containerd without warning. Containers go on.
func (l *Lab) KillContainerd() error {
	if l.containerd == nil {
		return nil
	}
	if err := lab.Signal(l.containerd, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill containerd: %w", err)
	}
	<-l.containerd.Done()
	l.containerd = nil
	return nil
}

// Ctr runs ctr in the lab's namespaces and returns its standard output. The
// error holds what it printed on standard error, which is what a user sees.
func (l *Lab) Ctr(ctx context.Context, args ...string) (string, error) {
	cmd := l.namespaces.Command(ctx, append([]string{"/usr/bin/ctr", "--address", l.Address(), "--namespace", l.Namespace}, args...)...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(exit.Stderr) > 0 {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return string(out), fmt.Errorf("ctr %s: %w", args[0], err)
	}
	return string(out), nil
}

// Container is a container to be run.
type Container struct {
	ID          string
	Annotations map[string]string
	Labels      map[string]string
	Shim        string   // path of the runtime shim; empty: Debian's
	Args        []string // nil: it runs until it is killed
}

// Run creates a container and starts its task, as `ctr run --detach` does.
func (l *Lab) Run(ctx context.Context, c Container) error {
	_, err := l.Ctr(ctx, c.flags("run", "--detach", "--null-io")...)
	return err
}

// Create makes a container's record and nothing else.
func (l *Lab) Create(ctx context.Context, c Container) error {
	_, err := l.Ctr(ctx, c.flags("containers", "create")...)
	return err
}

// StartTask starts a container that was created.
func (l *Lab) StartTask(ctx context.Context, id string) error {
	_, err := l.Ctr(ctx, "tasks", "start", "--detach", "--null-io", id)
	return err
}

// Delete kills the container's task, where it has one, and deletes both.
func (l *Lab) Delete(ctx context.Context, id string) error {
	// What ctr says where there is no task differs between its releases.
	_, taskErr := l.Ctr(ctx, "tasks", "delete", "--force", id)
	_, err := l.Ctr(ctx, "containers", "delete", id)
	if err != nil {
		return errors.Join(err, taskErr)
	}
	return nil
}

func (c Container) flags(command ...string) []string {
	args := append(command, "--snapshotter", snapshotter)
	if c.Shim != "" {
		args = append(args, "--runtime", c.Shim)
	}
	for k, v := range c.Annotations {
		args = append(args, "--annotation", k+"="+v)
	}
	for k, v := range c.Labels {
		args = append(args, "--label", k+"="+v)
	}
	return append(append(args, Image, c.ID), c.Args...)
}

// ContainerdLog returns the end of containerd's log.
func (l *Lab) ContainerdLog() string { return l.containerd.LogTail() }

// Stop ends every process of the lab and removes its folder.
func (l *Lab) Stop() error {
	if l == nil {
		return nil
	}
	l.namespaces.Close()
	if l.containerd != nil {
		<-l.containerd.Done()
	}
	lab.RemoveGroups(l.Namespace)
	return os.RemoveAll(l.dir)
}
