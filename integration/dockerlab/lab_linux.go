package dockerlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Options say how a lab is started.
type Options struct {
	Flavour Flavour // empty: Debian
	// Shims is a folder in which containerd looks for a runtime shim before it
	// looks in Debian's. With one, dockerd is told of a containerd that runs
	// already, as on a host where Docker is on containerd; without, it has a
	// child of its own.
	Shims  string
	Report lab.Reporter // nil: silent
}

// Lab is a running dockerd.
type Lab struct {
	name       string
	dir        string
	options    Options
	plugins    []string // that dockerd asks
	namespaces *lab.Enclosure
	dockerd    *lab.Process // nsenter, whose child dockerd is
	containerd *lab.Process // likewise; nil where dockerd has its own
	starts     int
}

// namePrefix is that of every lab's folder and control groups. A process number
// follows.
const namePrefix = "gmsa-dkr-"

var labs atomic.Int64

// Start starts a lab. The caller calls Stop.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if o.Flavour == "" {
		o.Flavour = Debian
	}
	if err := o.Flavour.Ready(); err != nil {
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
	l := &Lab{name: name, dir: dir, options: o}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the Docker lab: %w", err), l.Stop())
	}
	return l, nil
}

// mounts are those of the lab alone. dockerd's folders for plugins' sockets and
// for what it leaves in /etc are fixed.
const mounts = `mkdir -p /run/etc/upper /run/etc/work /run/docker/plugins
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc
rm -rf /etc/docker
mount -o bind '%s' /run/docker/plugins`

func (l *Lab) start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // all of it takes two seconds
	defer cancel()
	lab.RemoveDead(namePrefix)
	if err := os.Mkdir(l.PluginDir(), 0o755); err != nil {
		return err
	}
	l.namespaces, err = lab.Enclose(ctx, lab.EnclosureOptions{
		Log: l.Path("first.log"), Mounts: fmt.Sprintf(mounts, l.PluginDir()), Network: true,
	})
	if err != nil {
		return err
	}
	if l.options.Shims != "" {
		if err := l.startContainerd(ctx); err != nil {
			return err
		}
	}
	if err := l.StartDockerd(ctx); err != nil {
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
	if _, err := l.Docker(ctx, "load", "--input", path); err != nil {
		return err
	}
	l.options.Report("dockerd (%s) runs in %s", l.options.Flavour, l.dir)
	return nil
}

// Path returns a path in the lab's folder, which goes with the lab.
func (l *Lab) Path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }

// Socket is dockerd's socket.
func (l *Lab) Socket() string { return l.Path("docker.sock") }

// Root is dockerd's root folder, in which it looks for CredentialSpecs on
// Windows.
func (l *Lab) Root() string { return l.Path("root") }

// PluginDir is the folder in which dockerd looks for plugins' sockets.
func (l *Lab) PluginDir() string { return l.Path("plugins") }

// Containerd is the socket of the containerd that dockerd was told of.
func (l *Lab) Containerd() string { return l.Path("containerd.sock") }

// ContainerdState is the state folder of that containerd.
func (l *Lab) ContainerdState() string { return l.Path("containerd-state") }

// StartDockerd starts dockerd, which Start has done already.
func (l *Lab) StartDockerd(ctx context.Context) error {
	// One that was killed leaves it, and then it is no sign of life.
	if err := os.Remove(l.Socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	config := l.Path("daemon.json")
	if err := os.WriteFile(config, []byte(l.options.Flavour.settings()), 0o600); err != nil {
		return err
	}
	args := append(l.options.Flavour.command(),
		"--config-file", config,
		"--data-root", l.Root(), "--exec-root", l.Path("exec"), "--pidfile", l.Path("docker.pid"),
		"--host", "unix://"+l.Socket(),
		"--iptables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none",
		"--storage-driver", "vfs", // works on every file system, and the image is small
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/"+l.name,
	)
	if l.containerd != nil {
		args = append(args, "--containerd", l.Containerd())
	}
	for _, plugin := range l.plugins {
		args = append(args, "--authorization-plugin", plugin)
	}
	var err error
	if l.dockerd, err = l.launch("dockerd", args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return lab.WaitFor(ctx, "dockerd", func(ctx context.Context) error {
		if err := l.dockerd.Exited(); err != nil {
			cancel(err) // it does not come back
			return err
		}
		// Plugins have a say in every request, and may refuse or fail this one.
		return l.answers(ctx)
	})
}

// AskPlugins restarts dockerd, which from then on asks the authorization plugins
// with these names about every request. Their sockets belong into PluginDir, and
// have to be there before.
func (l *Lab) AskPlugins(ctx context.Context, names ...string) error {
	l.plugins = names
	return errors.Join(l.StopDockerd(), l.StartDockerd(ctx))
}

// launch starts a program in the lab's namespaces, with a log of its own.
func (l *Lab) launch(name string, args []string) (*lab.Process, error) {
	l.starts++
	command := l.namespaces.Inside(args...)
	return lab.Start(lab.Options{
		Path: command[0], Args: command[1:], Log: l.Path(fmt.Sprintf("%s-%d.log", name, l.starts)),
		Env: append(os.Environ(), "PATH="+strings.Join([]string{l.options.Shims, "/usr/sbin:/usr/bin:/sbin:/bin"}, ":")),
	})
}

const containerdConfig = `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
`

func (l *Lab) startContainerd(ctx context.Context) (err error) {
	config := l.Path("containerd.toml")
	text := fmt.Sprintf(containerdConfig, l.Path("containerd-root"), l.ContainerdState(), l.Containerd())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	if l.containerd, err = l.launch("containerd", []string{"/usr/bin/containerd", "--config", config}); err != nil {
		return err
	}
	return lab.WaitFor(ctx, "containerd", func(context.Context) error {
		_, err := os.Stat(l.Containerd())
		return errors.Join(err, l.containerd.Exited())
	})
}

// StopDockerd asks dockerd to end, as a service is stopped. It stops the
// containers.
func (l *Lab) StopDockerd() error { return l.endDockerd(syscall.SIGTERM) }

// KillDockerd ends dockerd without warning. Containers go on until the next one
// ends them.
func (l *Lab) KillDockerd() error { return l.endDockerd(syscall.SIGKILL) }

func (l *Lab) endDockerd(signal syscall.Signal) error {
	if l.dockerd == nil {
		return nil
	}
	if err := lab.Signal(l.dockerd, signal); err != nil {
		return fmt.Errorf("end dockerd: %w", err)
	}
	<-l.dockerd.Done()
	l.dockerd = nil
	return nil
}

// Log returns the end of dockerd's log.
func (l *Lab) Log() string {
	if l.dockerd == nil {
		return ""
	}
	return l.dockerd.LogTail()
}

// Stop ends every process of the lab and removes its folder.
func (l *Lab) Stop() error {
	if l == nil {
		return nil
	}
	l.namespaces.Close()
	for _, p := range []*lab.Process{l.dockerd, l.containerd} {
		if p != nil {
			<-p.Done()
		}
	}
	lab.RemoveGroups(l.name)
	return os.RemoveAll(l.dir)
}
